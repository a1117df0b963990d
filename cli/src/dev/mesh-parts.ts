import { join } from "node:path";
import type { MeshFile } from "../mesh-file.ts";
import type { NodeSpec } from "./node.ts";
import type { Project } from "./project.ts";
import type { Claim } from "./run-state.ts";
import type { SupervisorOptions } from "./supervisor.ts";

/** What the parts of a local mesh are made of: the default transport, and the broker as registry. */
export function meshParts(options: {
  readonly project: Project;
  readonly port: number | undefined;
  readonly claim: Claim;
}): Pick<SupervisorOptions, "brokerArgv" | "stateArgv" | "brokerAddress" | "meshFile"> {
  const { project, port, claim } = options;
  const transport = { name: "zeromq", options: { dir: project.socketFolder } };
  // The form people type: a restarted broker is reached by it, too, while the full address names the one process.
  const listen = port === undefined ? `ipc://${join(project.socketFolder, "broker")}` : `tcp://127.0.0.1:${port}`;
  const registry = { name: "broker", options: { address: listen } };
  const bin = join(import.meta.dir, "..", "..", "bin", "soorma.ts");
  const argv = (spec: NodeSpec): string[] => [bin, "node", JSON.stringify(spec)];
  const startedAtMs = Date.now();
  return {
    brokerArgv: argv({ role: "broker", transport, listen, folder: project.brokerFolder }),
    stateArgv: argv({ role: "state", transport, registry, folder: project.dataFolder }),
    brokerAddress: listen,
    meshFile: (brokerPid, statePid): MeshFile => ({
      version: 1,
      transport,
      registry,
      broker: { address: listen, pid: brokerPid },
      state: { pid: statePid },
      supervisor: claim.supervisor,
      startedAtMs,
    }),
  };
}
