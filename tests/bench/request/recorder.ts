// Records a mesh into a file until SIGTERM, and then says how much that was. `bun recorder.ts <folder>`
import { open } from "node:fs/promises";
import { createMesh, silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { formatLine, Recorder } from "@soorma/core/recording";
import registryBroker from "@soorma/registry-broker";
import zeromq from "@soorma/transport-zeromq";
import { ready } from "./measure.ts";

const [folder] = process.argv.slice(2);
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
const file = await open(`${folder}/recording.jsonl`, "w");
const recorder = new Recorder({
  mesh,
  write: (lines) => file.writeFile(lines.map((line) => `${formatLine(line)}\n`).join("")),
});
await recorder.run();
if (!(await recorder.copying())) throw new Error("not every node copies what it sends");
process.on("SIGTERM", async () => {
  await recorder.stop();
  const { messages, lost } = recorder.recorded;
  console.log(`${messages} messages, ${lost} lost`);
  process.exit(0);
});
ready();
