import { expect, test } from "bun:test";
import { createErrands } from "./errands.ts";
import { findProject, type Project } from "./project.ts";

test("an errand takes more than an argument has room for", async () => {
  const project = findProject(import.meta.dir, undefined);
  const errands = createErrands({ project, env: process.env, guard: () => ({ [Symbol.dispose]() {} }) });
  const lines: string[] = [];
  // It is told before anybody looks for a mesh.
  const input = `{"text":"${"x".repeat(200_000)}`;
  expect(await errands.run(["goal", "some.goal", "-"], (line) => lines.push(line), input)).toBe(2);
  expect(lines[0]).toContain(`it ends too early (after ${input.length.toLocaleString("en-US")} characters)`);
});

test("a command that the system does not start is told as one that failed", async () => {
  const gone = { root: "/nowhere/at/all", meshFile: "" } as Project;
  const errands = createErrands({ project: gone, env: process.env, guard: () => ({ [Symbol.dispose]() {} }) });
  const lines: string[] = [];
  expect(await errands.run(["version"], (line) => lines.push(line))).toBe(1);
  expect(lines).toEqual(["the system did not start it: its folder does not exist (ENOENT)"]);
  expect(await errands.ask(["version"])).toBeUndefined();
});
