import { hostname } from "node:os";
import { dirname } from "node:path";
import {
  createLogger,
  createMesh,
  currentContext,
  developmentVersions,
  type Logger,
  type LogLevel,
  type LogLine,
  type Mesh,
  type NodeOptions,
  systemRuntime,
  systemUsage,
} from "@soorma/core";
import { createFromPlugin, createPluginLoader } from "@soorma/core/plugins";
import { supervisedVariable } from "./dev/supervised.ts";
import { simulatedHost } from "./host.ts";
import { createLogSink, logLevel } from "./log-sink.ts";
import { findMeshFile, type MeshFile, readMeshFile } from "./mesh-file.ts";

/**
 * The one place that wires concrete parts: which transport and which registry a process of this project uses is what
 * the mesh file says, and where they come from is what the plugin loader finds.
 */
export interface ConnectOptions {
  /** Path of the mesh file. Default: `SOORMA_MESH`, else the nearest `.soorma/run/mesh.json` from here upwards. */
  readonly meshFile?: string;
  readonly log?: Logger;
  readonly tenantId?: string;
  readonly userId?: string;
}

/** A mesh of its own for this process, found when it is first used. */
export function connectMesh(options: ConnectOptions = {}): Mesh {
  const simulated = simulatedHost();
  if (simulated) return simulated.connect(options);
  return createMesh(async () => {
    const path = options.meshFile ?? findMeshFile();
    const file = await readMeshFile(path);
    return await nodeOptions(file, {
      // Of `<project>/.soorma/run/mesh.json`: the project's own plugins come before those that came with soorma.
      projectFolder: dirname(dirname(dirname(path))),
      log: options.log ?? processLogger("info"),
      ...(options.tenantId === undefined ? {} : { tenantId: options.tenantId }),
      ...(options.userId === undefined ? {} : { userId: options.userId }),
    });
  });
}

interface Wiring {
  readonly projectFolder: string;
  readonly log: Logger;
  readonly tenantId?: string;
  readonly userId?: string;
}

/** What a node needs to be part of the mesh that `file` describes. */
export async function nodeOptions(
  file: Pick<MeshFile, "transport" | "registry" | "node">,
  wiring: Wiring,
): Promise<NodeOptions> {
  const { log, projectFolder } = wiring;
  const runtime = systemRuntime;
  const loader = createPluginLoader({ from: [projectFolder, import.meta.dir] });
  const [transport, registry] = await Promise.all([
    loader.load("transport", file.transport.name),
    loader.load("registry", file.registry.name),
  ]);
  return {
    transport: await createFromPlugin(transport, file.transport.options, {
      log: log.child(`transport.${transport.name}`),
      runtime,
    }),
    createRegistry: (deps) => createFromPlugin(registry, file.registry.options, deps),
    runtime,
    log,
    // Under `soorma dev` a contract may change with every saved file.
    ...(process.env[supervisedVariable] === undefined ? {} : { schemaVersions: developmentVersions }),
    host: hostname(),
    pid: process.pid,
    usage: systemUsage,
    ...file.node,
    ...(wiring.tenantId === undefined ? {} : { tenantId: wiring.tenantId }),
    ...(wiring.userId === undefined ? {} : { userId: wiring.userId }),
  };
}

/** A logger to stderr: text for people, JSON lines elsewhere and under `soorma dev`. `SOORMA_LOG` sets the level. */
export function processLogger(fallback: LogLevel): Logger {
  const { env } = process;
  const forPeople = process.stderr.isTTY === true && env[supervisedVariable] === undefined;
  const write = createLogSink({ write: (text) => process.stderr.write(text), format: forPeople ? "text" : "json" });
  const sink = (line: LogLine): void => {
    const traceId = line.fields.traceId ?? currentContext()?.traceId;
    write(traceId === undefined ? line : { ...line, fields: { ...line.fields, traceId } });
  };
  return createLogger({ sink, now: () => systemRuntime.now(), level: logLevel(env, fallback) });
}
