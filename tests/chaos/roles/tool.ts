import { Tool } from "@soorma/core";
import { meshOf, type Place } from "../setting.ts";

export async function toolRole(place: Place): Promise<() => Promise<void>> {
  const tool = new Tool({ name: "chaos-tool", mesh: meshOf(place) });
  tool.onInvoke("multiply", ({ data }) => ({ n: data.a * data.b }));
  await tool.run();
  return () => tool.stop();
}
