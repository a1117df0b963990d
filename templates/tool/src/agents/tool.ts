import { defineTool, Tool } from "soorma";
import { calculate, Input, Output } from "../calculate.ts";

const tool = new Tool({
  name: "{{name}}",
  description: "{{description}}",
  capabilities: ["{{capabilities}}"],
});

tool.onInvoke(defineTool({ name: "calculate", input: Input, output: Output }), (request) => calculate(request.data));

await tool.run();
