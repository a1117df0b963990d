import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createLogger, createMesh, type Mesh, systemRuntime, type TransportDeps } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import zeromq from "@soorma/transport-zeromq";
import type { HostName } from "./network.ts";

/** Guarantees that can be broken on purpose, to see that the audit notices. */
export const breaks = ["version", "ack", "lease"] as const;
export type Break = (typeof breaks)[number];

/** What every process of a run is told, by a file in the run's folder. */
export interface Setting {
  readonly seed: string;
  readonly folder: string;
  readonly broker: string;
  /** Addresses of the hosts, when there are two with a network between them. */
  readonly hosts?: Readonly<Record<HostName, string>>;
  readonly broken?: Break;
  /** Goals that each client keeps under way. */
  readonly inFlight: number;
  /** Milliseconds a client rests between two of them, at most. */
  readonly restMs: number;
}

/** What one process is told. */
export interface Place {
  readonly setting: Setting;
  /** Its name, the same for whoever takes its place after it ended. */
  readonly who: string;
  readonly host: HostName;
}

export function readSetting(path: string): Setting {
  return JSON.parse(readFileSync(path, "utf8")) as Setting;
}

export function ledgerFolder({ folder }: Setting): string {
  return join(folder, "ledger");
}

/** Is there once clients shall submit no more. */
export function drainFile({ folder }: Setting): string {
  return join(folder, "drain");
}

/** Log lines go to stderr, which the run keeps in a file. */
export function transportDeps(): TransportDeps {
  return {
    runtime: systemRuntime,
    log: createLogger({
      sink: (line) => void process.stderr.write(`${JSON.stringify(line, errorText)}\n`),
      now: () => Date.now(),
      level: "info",
    }),
  };
}

export function createTransport({ setting, host }: Pick<Place, "setting" | "host">, deps: TransportDeps) {
  const { folder, hosts } = setting;
  const options = hosts ? { ipc: false, tcp: true, host: hosts[host] } : { dir: join(folder, "s") };
  return createFromPlugin(zeromq, options, deps);
}

export function meshOf(place: Pick<Place, "setting" | "host">, deps = transportDeps()): Mesh {
  return createMesh(async () => ({
    ...deps,
    transport: await createTransport(place, deps),
    createRegistry: (given) => createFromPlugin(registryBroker, { address: place.setting.broker }, given),
    host: place.host,
    pid: process.pid,
  }));
}

function errorText(_key: string, value: unknown): unknown {
  return value instanceof Error ? `${value.name}: ${value.message}` : value;
}
