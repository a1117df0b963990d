import type { Io } from "../ui/io.ts";

interface PluginChoice {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** What `soorma node` is to run. */
export type NodeSpec =
  | { readonly role: "broker"; readonly transport: PluginChoice; readonly listen: string; readonly folder: string }
  | {
      readonly role: "state";
      readonly transport: PluginChoice;
      readonly registry: PluginChoice;
      readonly folder: string;
    };

export async function runNode(_argv: readonly string[], _io: Io): Promise<number> {
  throw new Error("the parts are being built");
}
