import { join, resolve } from "node:path";
import type { Settings } from "../config.ts";
import type { MeshFile } from "../mesh-file.ts";
import type { MeshPlugins } from "./mesh-plugins.ts";
import { type NodeSpec, nodeVariable } from "./node-spec.ts";
import type { Project } from "./project.ts";
import type { Claim } from "./run-state.ts";
import type { PartSpec, SupervisorOptions } from "./supervisor.ts";

/** What the parts of a local mesh are made of. */
export function meshParts(options: {
  readonly project: Project;
  readonly settings: Settings;
  readonly plugins: MeshPlugins;
  readonly claim: Claim;
}): Pick<SupervisorOptions, "broker" | "state" | "registry" | "meshFile"> {
  const { project, settings, plugins, claim } = options;
  const { mesh, memory, tracker } = settings;
  const { transport, registry, listen } = plugins;
  const node = {
    tenantId: mesh.tenantId,
    leaseMs: mesh.leaseMs,
    renewMs: mesh.renewMs,
    maxFrameBytes: mesh.maxMessageBytes,
  };
  const bin = join(import.meta.dir, "..", "..", "bin", "soorma.ts");
  // In its environment: what it is called with everybody on this machine can read, and options may be secrets.
  const part = (spec: NodeSpec): PartSpec => ({ argv: [bin, "node"], env: { [nodeVariable]: JSON.stringify(spec) } });
  const startedAtMs = Date.now();
  const shared = { project: project.root, transport, node };
  return {
    ...(listen === undefined
      ? {}
      : { broker: { ...part({ ...shared, role: "broker", listen, folder: project.brokerFolder }), address: listen } }),
    state: part({
      ...shared,
      role: "state",
      registry,
      folder: resolve(project.root, mesh.dataFolder),
      ...(mesh.dataLimitBytes === undefined ? {} : { dataLimitBytes: mesh.dataLimitBytes }),
      sweepMs: memory.sweepMs,
      cacheBytes: tracker.cacheBytes,
    }),
    registry: registry.name,
    meshFile: (pids): MeshFile => ({
      version: 1,
      transport,
      registry,
      node,
      ...(listen === undefined || pids.broker === undefined ? {} : { broker: { address: listen, pid: pids.broker } }),
      state: { pid: pids.state },
      supervisor: claim.supervisor,
      startedAtMs,
    }),
  };
}
