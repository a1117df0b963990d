import { join } from "node:path";
import { StateNode } from "@soorma/core/state";
import { openLmdbStore } from "@soorma/core/store";
import { meshOf, type Place, transportDeps } from "../setting.ts";

export async function stateRole(place: Place): Promise<() => Promise<void>> {
  const store = await openLmdbStore({ path: join(place.setting.folder, "data"), ...transportDeps() });
  const state = new StateNode({ store, mesh: meshOf(place) });
  await state.run();
  return async () => {
    await state.stop();
    await store.close();
  };
}
