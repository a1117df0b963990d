// One side of a request over the whole SDK: envelope, contract, handler. `bun soorma.ts <answer|ask> <folder> <count>`
import { Client, createMesh, defineTool, silentLogger, systemRuntime, Tool } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import zeromq from "@soorma/transport-zeromq";
import { Type } from "typebox";
import { measure, payload, ready } from "./measure.ts";

const [role, folder, count] = process.argv.slice(2);
const runtime = systemRuntime;
const log = silentLogger;
const mesh = createMesh(async () => ({
  transport: await createFromPlugin(zeromq, { dir: folder ?? "" }, { log, runtime }),
  createRegistry: (deps) => createFromPlugin(registryBroker, { address: `ipc://${folder}/broker` }, deps),
  runtime,
  log,
  host: "bench",
  pid: process.pid,
}));
const Data = Type.Object({ text: Type.String(), n: Type.Number() });
const Echo = defineTool({ name: "echo", input: Data, output: Data });

if (role === "answer") {
  const tool = new Tool({ name: "echo", mesh });
  tool.onInvoke(Echo, ({ data }) => data);
  await tool.run();
  ready();
} else {
  const client = await Client.connect({ mesh });
  await measure(Number(count), (n) => client.bus.request(Echo, { ...payload, n }));
  await client.stop();
}
