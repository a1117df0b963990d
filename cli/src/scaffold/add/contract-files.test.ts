import { expect, test } from "bun:test";
import { contractFiles } from "./contract-files.ts";

test.each([
  ["task", "paper_search", "paperSearch", "src/tasks/paper-search.ts"],
  ["event", "order.placed", "orderPlaced", "src/events/order-placed.ts"],
  ["tool", "2d", "tool2d", "src/tools/2d.ts"],
  ["task", "delete", "taskDelete", "src/tasks/delete.ts"],
  // What the generated files use themselves.
  ["task", "define_task", "taskDefineTask", "src/tasks/define-task.ts"],
  ["tool", "define-tool", "toolDefineTool", "src/tools/define-tool.ts"],
  ["event", "console", "eventConsole", "src/events/console.ts"],
  ["event", "undefined", "eventUndefined", "src/events/undefined.ts"],
] as const)("a %s called %s is the contract %s in %s", (kind, name, contract, file) => {
  const { files, wiring } = contractFiles(kind, name);
  expect(files[0]?.path).toBe(file);
  expect(wiring).toMatchObject({ from: file, contract });
  expect(files[0]?.text).toContain(`export const ${contract} = `);
});
