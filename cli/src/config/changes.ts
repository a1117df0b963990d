import { isDeepStrictEqual } from "node:util";
import type { Settings } from "./resolve.ts";
import { pluginKinds, settings } from "./settings.ts";

/** Paths of what differs and is read only when a mesh starts: everything but the agents. */
export function changedSettings(before: Settings, after: Settings): string[] {
  const valueAt = (of: Settings, path: string): unknown => {
    const [section = "", key = ""] = path.split(".");
    return (of[section as "mesh"] as Readonly<Record<string, unknown>>)[key];
  };
  const paths = [...settings.map(({ path }): string => path), ...pluginKinds.map((kind) => `plugins.${kind}`)];
  return paths.filter((path) => !isDeepStrictEqual(valueAt(before, path), valueAt(after, path)));
}
