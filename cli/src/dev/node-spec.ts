import type { PluginChoice } from "../config/resolve.ts";
import type { MeshFile } from "../mesh-file.ts";

/** Holds the {@link NodeSpec} of a process that is `soorma node`. */
export const nodeVariable = "SOORMA_NODE";

interface SharedSpec {
  /** The project's folder: its own plugins come before those that came with soorma. */
  readonly project: string;
  readonly transport: PluginChoice;
  readonly node: NonNullable<MeshFile["node"]>;
  /** Of what it keeps. */
  readonly folder: string;
}

/** What `soorma node` is to run. */
export type NodeSpec =
  | (SharedSpec & { readonly role: "broker"; readonly listen: string })
  | (SharedSpec & {
      readonly role: "state";
      readonly registry: PluginChoice;
      readonly dataLimitBytes?: number;
      readonly sweepMs: number;
      readonly cacheBytes: number;
    });
