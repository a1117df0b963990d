import { createMesh, type Logger, type Mesh } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import type { SimulatedDisk, SimulatedProcess } from "@soorma/core/testing";
import registryBroker from "@soorma/registry-broker";
import { type Hub, inproc } from "@soorma/transport-inproc";
import type { GoalRecord, Ledger } from "./ledger.ts";

/**
 * A guarantee that is taken away on purpose, to see that its loss is noticed:
 *
 * - `flush`: disks acknowledge what they have not flushed.
 * - `version`: planners append whatever version or epoch the log is at.
 * - `lease`: no plan of a planner that is gone is handed to another.
 * - `wait`: planners go on before the log has acknowledged what they append.
 * - `steps`: attempts do not know which steps earlier ones did.
 */
export type Break = "flush" | "version" | "lease" | "wait" | "steps";

/** What a process of a certain role is started with. */
export interface Surroundings {
  readonly process: SimulatedProcess;
  readonly hub: Hub;
  readonly log: Logger;
  readonly ledger: Ledger;
  readonly elapsedMs: () => number;
  readonly disk: (name: string) => SimulatedDisk;
  readonly seed: number;
  /** Scripted goals that this client is to submit, and when. */
  readonly goals: readonly { readonly atMs: number; readonly record: GoalRecord }[];
  readonly broken: Break | undefined;
  /** Until when clients write, request and publish. */
  readonly untilMs: number;
}

/** Something running that can be stopped cleanly. */
export interface Running {
  stop(): Promise<void>;
}

export type Role = (surroundings: Surroundings) => Promise<Running>;

/** How long a process that is told to stop lets what runs finish. */
export const drainMs = 3_000;

/** A process's one node. */
export function meshOf({ process, hub, log }: Pick<Surroundings, "process" | "hub" | "log">): Mesh {
  return createMesh(async () => ({
    transport: process.transport(inproc(hub, { host: process.name })),
    createRegistry: (deps) => createFromPlugin(registryBroker, { address: "inproc://broker", timeoutMs: 5_000 }, deps),
    runtime: process.runtime,
    log,
    host: process.name,
    pid: 1,
  }));
}
