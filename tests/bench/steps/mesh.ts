import { createMesh, type Mesh, silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import zeromq from "@soorma/transport-zeromq";

/** The mesh of one process of a bench, at the broker in the folder. */
export function benchMesh(folder: string): Mesh {
  const [log, runtime] = [silentLogger, systemRuntime];
  return createMesh(async () => ({
    transport: await createFromPlugin(zeromq, { dir: folder }, { log, runtime }),
    createRegistry: (deps) => createFromPlugin(registryBroker, { address: `ipc://${folder}/broker` }, deps),
    runtime,
    log,
    host: "bench",
    pid: process.pid,
  }));
}
