// Soorma with default settings.
import { Client, createMesh, silentLogger, systemRuntime, Tool } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import zeromq from "@soorma/transport-zeromq";
import { answering, callTimeoutMs, experiment, given } from "./experiment.ts";

const options = given();
const runtime = systemRuntime;
const log = silentLogger;
const mesh = createMesh(async () => ({
  transport: await createFromPlugin(zeromq, { dir: options.folder }, { log, runtime }),
  createRegistry: (deps) => createFromPlugin(registryBroker, { address: `ipc://${options.folder}/broker` }, deps),
  runtime,
  log,
  host: "bench",
  pid: process.pid,
}));

if (options.role !== "ask") {
  const tool = new Tool({ name: "echo", capabilities: ["echo"], mesh });
  tool.onInvoke("echo", ({ data }) => ({ n: data.n, pid: process.pid }));
  await tool.run();
  answering();
} else {
  const client = await Client.connect({ mesh });
  const live = async (): Promise<number> => (await client.registry.findAll("echo")).length;
  const lost = (async () => {
    let had = false;
    for await (const _ of client.registry.watch()) {
      const count = await live();
      if (had && count < 2) return;
      had ||= count === 2;
    }
  })();
  await experiment(options, (n) => client.bus.request("echo", { n }, { timeoutMs: callTimeoutMs }), lost);
  await client.stop();
}
