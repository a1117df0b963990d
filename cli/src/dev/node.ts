import { hostname } from "node:os";
import { createMesh, type Logger, systemRuntime, systemUsage } from "@soorma/core";
import { createFromPlugin, createPluginLoader } from "@soorma/core/plugins";
import { openLmdbStore } from "@soorma/core/store";
import { nodeOptions, processLogger } from "../mesh.ts";
import { exitCodes, reportOf } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { type NodeSpec, nodeVariable } from "./node-spec.ts";
import { reportReady, tellParent } from "./supervised.ts";

interface RunningNode {
  readonly info: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Runs broker or state node until it is told to stop. What it cannot start for is told to the supervisor. */
export async function runNode(io: Io): Promise<number> {
  const spec = JSON.parse(io.env[nodeVariable] ?? "{}") as NodeSpec;
  const log = processLogger("warn");
  let node: RunningNode;
  try {
    node = spec.role === "broker" ? await openBroker(spec, log) : await openState(spec, log);
  } catch (error) {
    await tellParent({ soorma: "failed", report: reportOf(error) });
    throw error;
  }
  const stopped = Promise.withResolvers<void>();
  using _signals = io.onStopSignal(() => stopped.resolve());
  if (io.signal.aborted) stopped.resolve();
  else await reportReady(node.info);
  await stopped.promise;
  await node.close();
  return exitCodes.done;
}

async function openBroker(spec: Extract<NodeSpec, { role: "broker" }>, log: Logger): Promise<RunningNode> {
  const runtime = systemRuntime;
  const loader = createPluginLoader({ from: [spec.project, import.meta.dir] });
  const plugin = await loader.load("transport", spec.transport.name);
  const transport = await createFromPlugin(plugin, spec.transport.options, { log: log.child("transport"), runtime });
  const { startBroker } = await import("@soorma/broker");
  const store = await openLmdbStore({ path: spec.folder, runtime, log });
  try {
    const process = { host: hostname(), pid: globalThis.process.pid, usage: systemUsage };
    const { leaseMs, maxFrameBytes } = spec.node;
    const broker = await startBroker({
      transport,
      store,
      listen: spec.listen,
      runtime,
      log,
      process,
      ...(leaseMs === undefined ? {} : { leaseMs }),
      ...(maxFrameBytes === undefined ? {} : { maxFrameBytes }),
    });
    return {
      info: { address: spec.listen },
      async close() {
        await broker.close();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openState(spec: Extract<NodeSpec, { role: "state" }>, log: Logger): Promise<RunningNode> {
  const { StateNode } = await import("@soorma/core/state");
  // First of all: a folder that cannot be used is known before anybody hears of this node.
  const { dataLimitBytes: mapSizeBytes } = spec;
  const limit = mapSizeBytes === undefined ? {} : { mapSizeBytes };
  const store = await openLmdbStore({ path: spec.folder, runtime: systemRuntime, log, ...limit });
  try {
    const mesh = createMesh(() => nodeOptions(spec, { projectFolder: spec.project, log }));
    const node = new StateNode({ mesh, store, sweepMs: spec.sweepMs, cacheBytes: spec.cacheBytes });
    await node.run();
    return {
      info: { address: node.record().address },
      async close() {
        await node.stop();
        await store.close();
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
