import { defineTask, Worker } from "soorma";
import { countWords, Input, Output } from "../count-words.ts";

const worker = new Worker({
  name: "{{name}}",
  description: "{{description}}",
  capabilities: ["{{capabilities}}"],
});

const contract = { input: Input, output: Output };
worker.onTask(defineTask({ name: "{{capability}}", ...contract }), (task) => countWords(task.data)); // {{each capabilities as capability}}

await worker.run();
