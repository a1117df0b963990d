import { expect, test } from "bun:test";
import { createErrands } from "./errands.ts";
import { findProject } from "./project.ts";

test("an errand takes more than an argument has room for", async () => {
  const project = findProject(import.meta.dir, undefined);
  const errands = createErrands({ project, env: process.env, guard: () => ({ [Symbol.dispose]() {} }) });
  const lines: string[] = [];
  // It is told before anybody looks for a mesh.
  const input = `{"text":"${"x".repeat(200_000)}`;
  expect(await errands.run(["goal", "some.goal", "-"], (line) => lines.push(line), input)).toBe(2);
  expect(lines[0]).toContain(`it ends too early (after ${input.length.toLocaleString("en-US")} characters)`);
});
