import { defineTool, Tool } from "soorma";
import { ReadingTime, readingTime, Text } from "../reading-time.ts";

const tool = new Tool({
  name: "{{name}}-clock",
  description: "Says how long a text takes to read",
  capabilities: ["reading_time"],
});

tool.onInvoke(defineTool({ name: "estimate", input: Text, output: ReadingTime }), (request) =>
  readingTime(request.data),
);

await tool.run();
