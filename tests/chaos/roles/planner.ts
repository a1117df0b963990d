import { Planner } from "@soorma/core";
import { brokenPlannerMesh } from "../broken.ts";
import { meshOf, type Place } from "../setting.ts";
import { shapes } from "../shapes/index.ts";

export async function plannerRole(place: Place): Promise<() => Promise<void>> {
  const planner = new Planner({
    name: "chaos-planner",
    mesh: brokenPlannerMesh(meshOf(place), place.setting.broken),
    // Whatever happens to an attempt here is no fault of its task.
    retry: { maxAttempts: 1_000, backoffMs: 20, maxBackoffMs: 500 },
  });
  for (const shape of shapes) shape.plan(planner);
  await planner.run();
  return () => planner.stop();
}
