import { expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { bin, cleanEnv, type Finished } from "./cli-run.ts";
import { expectProgram, hangUp, inTerminal, interrupt } from "./cli-terminal.ts";
import { devProject } from "./dev-project.ts";

const { path: project } = devProject("sums", () => ({ "src/agents/all.ts": agent }));

const agent = `
import { Planner, Tool, Worker } from "soorma";
const tool = new Tool({ name: "calculator", capabilities: ["arithmetic"] });
tool.onInvoke("add", ({ data }) => ({ sum: data.a + data.b, odd: "\\u001b[31mred" }));
tool.onInvoke("slow", () => new Promise(() => {}));
await tool.run();
const worker = new Worker({ name: "counter" });
worker.onTask("count", (task) => task.data.text.length);
await worker.run();
const planner = new Planner({ name: "planner" });
planner.onGoal("count.goal", ({ data }) => ({ tasks: [{ name: "count", assignedTo: "count", data }] }));
await planner.run();
`;

async function piped(input: string, ...args: string[]): Promise<Finished> {
  const child = Bun.spawn([process.execPath, bin, "repl", ...args], {
    cwd: project,
    env: cleanEnv(),
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, exitCode: child.exitCode };
}

test("statements that are piped in run in the mesh, and their results are printed", async () => {
  const done = await piped(`
const b: number = 2
agents.calculator.invoke("add", {
  a: 1, b })
await memory.store("k", { v: [1, 2] })
memory.retrieve("k")
const run = await client.submitGoal("count.goal", { text: "abc" })
run.result()
(await tracker.getPlan(run.planId)).status
(await registry.find("arithmetic")).name
`);
  expect(done.stderr).toBe("");
  expect(done.stdout).toBe(
    '{\n  sum: 3,\n  odd: "\\u001B[31mred",\n}\n{\n  version: 1,\n}\n{\n  v: [ 1, 2 ],\n}\n{\n  count: 3,\n}\n"completed"\n"calculator"\n',
  );
  expect(done.exitCode).toBe(0);
  const json = await piped('agents.calculator.invoke("add", { a: 1, b: 2 })\n"text"\n', "--json");
  expect(json.stdout).toBe('{"sum":3,"odd":"\\u001b[31mred"}\n"text"\n');
  const given = await piped("", "--eval", 'const { sum } = await agents.calculator.invoke("add", { a: 1, b: 2 })\nsum');
  expect(given).toEqual({ stdout: "3\n", stderr: "", exitCode: 0 });
}, 60_000);

test("a statement that fails ends it, with what to do", async () => {
  const failed = await piped('1\nbus.request("nobody.home", {}, { timeoutMs: 50 })\n2\n');
  expect(failed).toMatchObject({ stdout: "1\n", exitCode: 1 });
  expect(failed.stderr).toMatch(
    /error: nobody in the mesh answered "nobody\.home" within 50 ms \[NO_RESPONDER\]\nhint: /,
  );
  const wrong = await piped("nothing.at()");
  expect(wrong.stderr).toBe("error: ReferenceError: nothing is not defined [STATEMENT_FAILED]\n");
  expect(wrong.exitCode).toBe(1);
}, 60_000);

test.if(expectProgram !== null)(
  "in a terminal members and agents are completed, a statement is given up, and history is kept",
  async () => {
    const { screen, exitCode } = await inTerminal(
      project,
      ["repl"],
      [
        ["> ", "clie\\t"],
        ["client", ".submitG\\t"],
        ["oal", '(\\"count.goal\\", {\\r'],
        ["… ", ' text: \\"four\\" }).then((run) => run.result())\\r'],
        ["count", "agents.calc\\t"],
        ["ulator", '.invoke(\\"slow\\", {})\\r'],
        ["{})", interrupt],
        ["interrupted; what was begun goes on", 'registry.find(\\"arith\\t'],
        ["metic", '\\").then((agent) => agent.name)\\r'],
        ['"calculator"', 'bus.request(\\"nobody.home\\", {}, { timeoutMs: 50 })\\r'],
        ["hint", "\\004"],
      ],
    );
    expect(screen).toContain("soorma repl: calculator, counter, planner, state");
    expect(screen).toContain("[NO_RESPONDER]");
    expect(exitCode).toBe(0);
    const history = join(project, ".soorma/repl-history");
    expect(statSync(history).mode & 0o777).toBe(0o600);
    expect(readFileSync(history, "utf8")).toContain('client.submitGoal("count.goal", {\n');
    const again = await inTerminal(
      project,
      ["repl"],
      [
        ["in scope", "\\033\\[A"],
        ["nobody.home", interrupt],
        ["> ", ".exit\\r"],
      ],
    );
    expect(again.exitCode).toBe(0);
  },
  60_000,
);

test.if(expectProgram !== null)(
  "a terminal that is closed ends it",
  async () => {
    const { exitCode } = await inTerminal(project, ["repl"], [["> ", hangUp]]);
    expect(exitCode).not.toBe(97);
  },
  60_000,
);
