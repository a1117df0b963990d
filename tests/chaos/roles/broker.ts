import { join } from "node:path";
import { startBroker } from "@soorma/broker";
import { openLmdbStore } from "@soorma/core/store";
import { createTransport, type Place, transportDeps } from "../setting.ts";

export async function brokerRole(place: Place): Promise<() => Promise<void>> {
  const deps = transportDeps();
  const { setting } = place;
  const store = await openLmdbStore({ path: join(setting.folder, "broker-data"), ...deps });
  const broker = await startBroker({
    transport: await createTransport(place, deps),
    store,
    listen: setting.broker,
    ...deps,
  });
  return async () => {
    await broker.close();
    await store.close();
  };
}
