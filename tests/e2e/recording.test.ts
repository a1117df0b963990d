import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseRecording, type RecordingLine } from "@soorma/core/recording";
import { soorma, startSoorma, until } from "./cli-run.ts";
import { devProject } from "./dev-project.ts";
import { openTerminal, tmuxProgram } from "./tmux.ts";

const {
  folder,
  path: project,
  run,
} = devProject("papers", () =>
  Object.fromEntries(Object.entries(agents).map(([name, text]) => [`src/agents/${name}.ts`, text])),
);
/** While it is there, the worker counts one word more. */
const changed = join(folder, "changed");

const agents = {
  planner: `
import { Planner } from "soorma";
const planner = new Planner({ name: "librarian" });
planner.onGoal("count.goal", ({ data }) => ({ tasks: [{ name: "count", assignedTo: "count-words", data }] }));
await planner.run();
`,
  worker: `
import { existsSync } from "node:fs";
import { Worker } from "soorma";
const worker = new Worker({ name: "counter", produces: ["words.counted"] });
worker.onTask("count-words", async (task, context) => {
  const { words } = await context.bus.request("split", { text: task.data.text });
  await context.bus.publish("words.counted", { words: words.length, token: "geheim" });
  return { words: words.length + (existsSync(${JSON.stringify(changed)}) ? 1 : 0) };
});
await worker.run();
`,
  tool: `
import { Tool } from "soorma";
const tool = new Tool({ name: "splitter", capabilities: ["text"] });
tool.onInvoke("split", ({ data }) => ({ words: data.text.split(" ") }));
await tool.run();
`,
};

const children: ReturnType<typeof startSoorma>[] = [];
/** What a test that failed left running. */
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Records while `body` runs, and ends the recording as Ctrl-C does. */
async function record(file: string, args: readonly string[], body: () => Promise<void>): Promise<string> {
  const child = startSoorma(["record", file, ...args], { cwd: project });
  children.push(child);
  const out = child.stdout.text();
  let err = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const chunk of child.stderr) err += decoder.decode(chunk, { stream: true });
  })();
  await until("the recorder", () => err.includes("Ctrl-C ends it"));
  await body();
  // A goal is answered to its client a moment before everybody else hears of it.
  const goals = (): number => readFileSync(join(project, file), "utf8").split('"kind":"goal"').length - 1;
  const answers = (): number => readFileSync(join(project, file), "utf8").split(/"id":"[^"]+\.answer"/).length - 1;
  if (file !== "-") await until("the answers of all goals", () => goals() > 0 && goals() === answers());
  child.kill("SIGINT");
  expect(await child.exited).toBe(0);
  await reading;
  return await out;
}

test("a recording ends when nobody reads it any more", async () => {
  const child = startSoorma(["record", "-"], { cwd: project });
  children.push(child);
  for await (const chunk of child.stdout) {
    expect(new TextDecoder().decode(chunk)).toContain('"soorma.recording"');
    break;
  }
  await run("goal", "count.goal", '{"text":"a b"}');
  expect(await child.exited).toBe(0);
}, 60_000);

test("a recording that cannot be written says why", async () => {
  const { stderr, exitCode } = await run("record", "nowhere/monday.jsonl");
  expect(stderr).toBe(
    "error: the recording cannot be written to nowhere/monday.jsonl: its folder does not exist (ENOENT) [FILE_UNWRITABLE]\n" +
      "hint: name a file in a folder that can be written\n",
  );
  expect(exitCode).toBe(1);
}, 60_000);

test("a running mesh is recorded, with the goals of commands that come later", async () => {
  const out = await record("monday.jsonl", ["--redact", "token"], async () => {
    expect((await run("goal", "count.goal", '{"text":"a b c"}', "--json")).exitCode).toBe(0);
  });
  expect(out).toMatch(/^recorded \d+ messages in .* to monday\.jsonl\n$/);
  const file = join(project, "monday.jsonl");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = readFileSync(file, "utf8");
  expect(text).not.toContain("geheim");
  const { header, lines } = parseRecording(text);
  expect(header).toMatchObject({ project: "papers", redacted: ["token"] });
  const kinds = lines.filter((line) => "type" in line).map((line) => `${line.kind} ${"type" in line ? line.type : ""}`);
  const expected = [
    "goal count.goal",
    "task count",
    "request split",
    "reply split",
    "event words.counted",
    "result count",
  ];
  expect(kinds.filter((kind) => expected.includes(kind)).toSorted()).toEqual(expected.toSorted());
  expect(kinds).toContain("event goal.completed");
  expect(lines.at(-1)).toMatchObject({ kind: "end", lost: 0 });
}, 60_000);

test("a file that is there is not replaced unless that is asked for", async () => {
  writeFileSync(join(project, "mine.txt"), "mine");
  const refused = await run("record", "mine.txt");
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain("mine.txt exists already");
  expect(refused.stderr).toContain("--force");
  expect(readFileSync(join(project, "mine.txt"), "utf8")).toBe("mine");
  const forced = await run("record", "mine.txt", "--force", "--for", "0.1", "--json");
  expect(JSON.parse(forced.stdout)).toMatchObject({ file: "mine.txt", lost: 0 });
  expect(readFileSync(join(project, "mine.txt"), "utf8")).toStartWith('{"format":"soorma.recording","version":1');
  const nowhere = await soorma(["record", "new.jsonl"], { cwd: folder });
  expect(nowhere.stderr).toContain("no mesh runs in");
  expect(existsSync(join(folder, "new.jsonl"))).toBe(false);
}, 60_000);

test("a recording on stdout holds nothing but its lines", async () => {
  const out = await record("-", [], async () => {
    expect((await run("goal", "count.goal", '{"text":"a"}')).exitCode).toBe(0);
  });
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as RecordingLine);
  expect(lines.at(-1)?.kind).toBe("end");
}, 60_000);

test("a recording is sent again, and what ends differently is told", async () => {
  const data = '{"text":"one two three"}';
  await record("again.jsonl", [], async () => {
    expect((await run("goal", "count.goal", data)).exitCode).toBe(0);
  });
  const listed = await run("replay", "again.jsonl", "--dry-run");
  expect(listed.stdout).toBe(`+0 ms  goal count.goal  ${data}\n`);
  const same = await run("replay", "again.jsonl", "--speed", "max");
  expect(same.stdout).toMatch(/^✓ goal count\.goal {2}[\d.]+ m?s, was [\d.]+ m?s\n$/);
  expect(same.stderr).toBe("1 the same, 0 different\n");
  expect(same.exitCode).toBe(0);
  writeFileSync(changed, "");
  const different = await run("replay", "again.jsonl");
  expect(different.exitCode).toBe(1);
  expect(different.stdout).toContain("✗ goal count.goal");
  expect(different.stdout).toContain("    result.count.words: 3 → 4\n");
  expect(different.stderr).toBe(
    "0 the same, 1 different\nhint: what may differ is left out by --ignore result.count.words\n",
  );
  const ignored = await run("replay", "again.jsonl", "--ignore", "words", "--only", "count.*", "--json");
  expect(ignored.exitCode).toBe(0);
  expect(JSON.parse(ignored.stdout)).toMatchObject({ same: 1, inputs: [{ type: "count.goal", verdict: "same" }] });
  const none = await run("replay", "again.jsonl", "--only", "order.*");
  expect(none).toMatchObject({ stdout: "", exitCode: 0 });
  expect(none.stderr).toContain("nothing that matches order.* was sent by a client in again.jsonl");
  expect(await run("replay", "again.jsonl", "--only", "a..b")).toMatchObject({ stdout: "", exitCode: 2 });
  const wrong = await run("replay", "package.json");
  expect(wrong.exitCode).toBe(1);
  expect(wrong.stderr).toContain("is no recording");
}, 60_000);

test("a recording ends with the mesh, and its last line says what is in it", async () => {
  const child = startSoorma(["record", "last.jsonl", "--json"], { cwd: project });
  children.push(child);
  let err = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const chunk of child.stderr) err += decoder.decode(chunk, { stream: true });
  })();
  await until("the recorder", () => err.includes("Ctrl-C ends it"));
  expect((await run("goal", "count.goal", '{"text":"a b"}')).exitCode).toBe(0);
  try {
    expect((await run("dev", "--stop")).exitCode).toBe(0);
    await until("the recording to end", () => child.exitCode !== null);
    await reading;
  } finally {
    expect((await run("dev", "--detach")).exitCode).toBe(0);
  }
  expect({ err, code: child.exitCode }).toEqual({
    err: expect.stringContaining("the mesh was stopped, and the recording with it\n"),
    code: 0,
  });
  const { messages, lost } = JSON.parse(await child.stdout.text());
  const { lines } = parseRecording(readFileSync(join(project, "last.jsonl"), "utf8"));
  // What a process still had when it was ended with the mesh is lost, and counted.
  expect(lines.at(-1)).toMatchObject({ kind: "end", messages, lost });
  expect(lines.some((line) => line.kind === "goal")).toBe(true);
  const left = lines.filter((line) => line.kind === "agent" && line.change === "left");
  expect(left.length).toBeGreaterThanOrEqual(3);
}, 90_000);

test("a recorder that is stopped or killed holds nobody up", async () => {
  const count = async (text: string): Promise<void> => {
    const { stderr, exitCode } = await run("goal", "count.goal", JSON.stringify({ text }), "--json");
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  };
  const child = startSoorma(["record", "stopped.jsonl"], { cwd: project });
  children.push(child);
  let err = "";
  const reading = (async () => {
    for await (const chunk of child.stderr) err += new TextDecoder().decode(chunk);
  })();
  await until("the recorder", () => err.includes("Ctrl-C ends it"));
  await count("a");
  await until("a first goal", () => readFileSync(join(project, "stopped.jsonl"), "utf8").includes('"kind":"goal"'));
  child.kill("SIGSTOP");
  const started = performance.now();
  for (let n = 0; n < 3; n++) await count("a b");
  const stoppedMs = performance.now() - started;
  child.kill("SIGKILL");
  await child.exited;
  await reading;
  const again = performance.now();
  for (let n = 0; n < 3; n++) await count("a b");
  // A command that ends waits half a second for a recorder, until that is known to hang.
  expect(stoppedMs).toBeLessThan(3 * (performance.now() - again) + 3_000);
  // What was written until then can be read.
  const { lines } = parseRecording(readFileSync(join(project, "stopped.jsonl"), "utf8"));
  expect(lines.filter((line) => line.kind === "goal")).toHaveLength(1);
  expect(lines.some((line) => line.kind === "end")).toBe(false);
}, 60_000);

test.if(tmuxProgram !== null)(
  "on a terminal it is shown how much was recorded, and Ctrl-C leaves nothing of that behind",
  async () => {
    await using terminal = await openTerminal(project, ["record", "screen.jsonl"], { columns: 70 });
    await terminal.sees(/^recording \d+ agents in \d+ processes to screen\.jsonl; Ctrl-C ends it$/);
    expect((await run("goal", "count.goal", '{"text":"a"}')).exitCode).toBe(0);
    await terminal.sees(/^[1-9]\d* messages of \d+ agents · /);
    await terminal.press("C-c");
    expect(await terminal.ended()).toBe(0);
    // The end of a pane is told in a line of its own, before which the first one may scroll away.
    const said = (await terminal.screen()).filter((line) => line !== "" && !line.startsWith("Pane is dead"));
    expect(said.at(-1)).toMatch(/^recorded [1-9]\d* messages in .* to screen\.jsonl$/);
    expect(said.slice(0, -1).filter((line) => !line.startsWith("recording "))).toEqual([]);
  },
  60_000,
);
