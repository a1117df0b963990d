import { Tool } from "../../agents.ts";
import { measuring, textAnalysis, usage } from "../contracts.ts";
import { measureText } from "../measure.ts";

const tool = new Tool({
  name: "text-tool",
  description: "Measures texts: words, sentences, reading time",
  capabilities: [textAnalysis],
});

let calls = 0;
let busyMs = 0;

tool.onInvoke(measuring, (request) => {
  const startedMs = performance.now();
  const measured = measureText(request.data.text);
  calls++;
  busyMs += performance.now() - startedMs;
  return measured;
});

tool.onInvoke(usage, () => ({ calls, busyMs }));

await tool.run();
