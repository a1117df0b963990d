/** The commands that look into a mesh, run in this process against one that runs; what needs a terminal is in tests/e2e. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@soorma/core";
import { defineTool, Tool, type TSchema, Type } from "../index.ts";
import { runCommandLine } from "../main.ts";
import { connectMesh } from "../mesh.ts";
import { meshFileOf, meshFileVariable } from "../mesh-file.ts";

setDefaultTimeout(60_000);

const cli = join(import.meta.dir, "..", "..");
const folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-inspection-")));
const project = join(folder, "papers");
/** While this file is not there, the operation "block" keeps its agent's thread. */
const freed = join(folder, "freed");

const agents = `
import { existsSync } from "node:fs";
import { defineEvent, defineTask, defineTool, Planner, Tool, Type, Worker } from "soorma";
const found = defineEvent({ name: "papers.found", data: Type.Object({ topic: Type.String(), count: Type.Integer() }) });
const search = defineTask({
  name: "search", description: "Finds papers",
  input: Type.Object({ topic: Type.String() }), output: Type.Object({ papers: Type.Array(Type.String()) }),
});
const calculate = defineTool({
  name: "calculate", description: "Does sums",
  input: Type.Object({ a: Type.Number(), b: Type.Number() }), output: Type.Object({ result: Type.Number() }),
});
const worker = new Worker({ name: "searcher", description: "Searches\\u001b[2J papers", capabilities: ["paper_search"], produces: [found], drainMs: 50 });
worker.onTask(search, () => ({ papers: ["a"] }));
worker.onTask("wait", ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
worker.onEvent("papers.*", () => {});
const tool = new Tool({ name: "calculator", description: "Calculates", version: "1.2.0", capabilities: ["arithmetic"], drainMs: 50 });
tool.onInvoke(calculate, ({ data }) => ({ result: data.a + data.b }));
tool.onInvoke("fail", () => { throw new Error("it\\u001b[31m broke"); });
tool.onInvoke("hang", () => new Promise(() => {}));
tool.onInvoke("block", ({ data }) => { while (!existsSync(data.until)) Bun.sleepSync(10); });
const planner = new Planner({ name: "research-planner" });
planner.onGoal("research.goal", ({ data }) => ({ tasks: [
  { name: "search", assignedTo: "search", data },
  { name: "wait", assignedTo: "wait", dependsOn: ["search"] },
] }));
await Promise.all([worker, tool, planner].map((agent) => agent.run()));
`;

const meshBefore = process.env[meshFileVariable];

beforeAll(async () => {
  mkdirSync(join(project, "node_modules"), { recursive: true });
  symlinkSync(cli, join(project, "node_modules/soorma"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "papers", type: "module" }));
  writeFileSync(join(project, "agent.ts"), agents);
  await spawned("dev", "--detach");
  process.env[meshFileVariable] = meshFileOf(project);
});

afterAll(async () => {
  if (meshBefore === undefined) delete process.env[meshFileVariable];
  else process.env[meshFileVariable] = meshBefore;
  writeFileSync(freed, "");
  await spawned("dev", "--stop");
  rmSync(folder, { recursive: true, force: true });
});

async function spawned(...args: string[]): Promise<void> {
  const { [meshFileVariable]: _mesh, ...env } = process.env;
  const child = Bun.spawn([process.execPath, join(cli, "bin/soorma.ts"), ...args], {
    cwd: project,
    env,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const [said, exitCode] = await Promise.all([child.stderr.text(), child.exited]);
  if (exitCode !== 0) throw new Error(said);
}

interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

interface Settings {
  /** Width of the terminal; none by default. */
  readonly columns?: number;
  readonly signal?: AbortSignal;
}

async function runWith({ columns, signal }: Settings, ...args: string[]): Promise<Finished> {
  let stdout = "";
  let stderr = "";
  const exitCode = await runCommandLine(args, {
    cwd: project,
    env: { NO_COLOR: "1", [meshFileVariable]: meshFileOf(project) },
    interactive: false,
    liveStderr: false,
    stdoutColumns: columns,
    signal: signal ?? new AbortController().signal,
    onStopSignal: () => ({ [Symbol.dispose]() {} }),
    out: (line) => {
      stdout += `${line}\n`;
      return true;
    },
    err: (line) => {
      stderr += `${line}\n`;
    },
    errRaw: () => {},
  });
  return { stdout, stderr, exitCode };
}

const run = (...args: string[]): Promise<Finished> => runWith({}, ...args);

async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr, exitCode } = await run(...args, "--json");
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  return JSON.parse(stdout) as T;
}

/** That a command fails as it should: what it says, what to do, nothing on stdout. */
async function fails(args: readonly string[], message: string, hint: string, code = 1): Promise<void> {
  const { stdout, stderr, exitCode } = await run(...args);
  expect(stderr).toContain(`error: ${message}`);
  expect(stderr).toContain(`hint: ${hint}`);
  expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: code });
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited 30 s for ${what}`);
  }
}

/** Processes of the project: commands of this very file that are being run are clients, too. */
const agentsOnly = <T extends { readonly role: string }>(processes: readonly T[]): T[] =>
  processes.filter(({ role }) => role !== "client");

describe("ps and top", () => {
  test("every process is listed with what it hosts and what it does; the command itself is not", async () => {
    const { stdout, stderr, exitCode } = await run("ps");
    expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
    const [titles = "", ...rows] = stdout.trimEnd().split("\n");
    expect(titles.trim().split(/ {2,}/)).toEqual([
      "PID",
      "ROLE",
      "AGENTS",
      "UP",
      "MEM",
      "CPU",
      "RUN",
      "WAIT",
      "IN/S",
      "OUT/S",
      "DONE/S",
    ]);
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatch(/^ *\d+ +broker +[\d.]+ m?s +\d+ MB +\d+% +0 +0 +0 +0 +0$/);
    expect(rows[1]).toMatch(/ state +state +/);
    expect(rows[2]).toMatch(/ mixed +calculator, research-planner, searcher +/);
  });

  test("running work shows up, per process and in the sums", async () => {
    const { stdout: planId } = await run("goal", "research.goal", '{"topic":"bees"}', "--no-wait");
    const top = await until("the waiting task", async () => {
      const found = await json<{ totals: { running: number; plans: number }; processes: { pid: number }[] }>("top");
      return found.totals.running === 1 && found.totals.plans === 1 ? found : undefined;
    });
    expect(top.processes.every(({ pid }) => pid > 0)).toBe(true);
    await run("plans", "cancel", planId.trim());
    expect((await run("top")).stdout).toMatch(/^soorma top .*\/papers\n3 processes · 4 agents · up /);
  });

  test("a process that is too busy to answer is listed with that, and the others as always", async () => {
    const blocked = run("call", "calculator", "block", JSON.stringify({ until: freed }));
    const found = await until("the silence", async () => {
      const processes = agentsOnly(await json<{ role: string; problem?: string }[]>("ps"));
      return processes.some(({ problem }) => problem !== undefined) ? processes : undefined;
    });
    expect(found.map(({ role, problem }) => [role, problem])).toEqual([
      ["broker", undefined],
      ["state", undefined],
      ["mixed", "no answer: busy or stopped"],
    ]);
    writeFileSync(freed, "");
    expect((await blocked).exitCode).toBe(0);
  });

  test("40 columns are enough", async () => {
    const commands = [
      ["ps"],
      ["top", "--once"],
      ["agents"],
      ["agents", "show", "searcher"],
      ["plans"],
      ["memory"],
      ["schemas"],
    ];
    for (const args of commands) {
      const { stdout, exitCode } = await runWith({ columns: 40 }, ...args);
      expect(exitCode).toBe(0);
      expect(Math.max(...stdout.split("\n").map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(40);
    }
  });
});

describe("agents", () => {
  test("are listed by name", async () => {
    const { stdout } = await run("agents");
    expect(stdout).toMatch(/^AGENT +TYPE +INST +CAPABILITIES +DESCRIPTION\n/);
    expect(stdout).toMatch(/\ncalculator +tool +1 +arithmetic +Calculates\n/);
    expect(stdout).not.toContain("soorma-cli");
    expect(await json<{ name: string }[]>("agents", "--kind", "worker")).toMatchObject([
      { name: "searcher", ready: 1 },
    ]);
    expect((await run("agents", "list", "--capability", "knitting")).stderr).toBe("no such agent runs\n");
  });

  test("show themselves on a card: what they take and give, where they run, how they do", async () => {
    const { stdout } = await run("agents", "show", "searcher");
    expect(stdout).toContain("searcher  worker  0.0.0\nSearches papers\n");
    expect(stdout).toContain("Capabilities\n  paper_search, search, wait\n");
    expect(stdout).toMatch(
      / {2}search {2}Finds papers\n {4}takes \{ topic: string \} {2}search\.input@1\.0\.0\+dev\.\w+\n/,
    );
    expect(stdout).toMatch(/Takes events\n {2}papers\.\* {2}group searcher\n/);
    expect(stdout).toMatch(
      /Emits events\n {2}papers\.found {2}business-facts\n {4}data \{ topic: string; count: number \}/,
    );
    expect(stdout).toMatch(/Instances\n +PID +ID +UP +MEM +RUN +DONE +FAILED +HOST\n +\d+ +searcher-\w{10} /);
    const card = await json<{ version: string; schemas: unknown[]; instances: unknown[] }>(
      "agents",
      "show",
      "calculator",
    );
    expect(card).toMatchObject({ name: "calculator", kind: "tool", version: "1.2.0" });
    expect([card.schemas.length, card.instances.length]).toEqual([2, 1]);
  });

  test("that are mistyped are suggested", async () => {
    await fails(["agents", "show", "sercher"], 'no agent "sercher" runs', "did you mean searcher?");
    await fails(
      ["agents", "show", "arithmetic"],
      'no agent "arithmetic" runs',
      "arithmetic is a capability, of calculator",
    );
    await fails(["agents", "shwo"], 'there is no command "agents shwo"', "did you mean `soorma agents show`?", 2);
  });
});

test.each([
  [["agents", "show", "planner"], "research-planner"],
  [["call", "calc", "calculate"], "calculator"],
  [["memory", "get", "limit"], "config:limit"],
  [["schemas", "show", "serch"], "search.input"],
  [["logs", "shop-of-papers"], "papers"],
] as const)("a part of a live name is enough for %j to suggest it", async (args, name) => {
  await run("memory", "set", "config:limit", "1");
  const { stderr, exitCode } = await run(...args);
  await run("memory", "rm", "config:limit");
  expect({ stderr, exitCode }).toEqual({ stderr: expect.stringContaining(`hint: did you mean ${name}?`), exitCode: 1 });
});

describe("call", () => {
  test("the answer is on stdout, whether the agent is meant by capability or by name", async () => {
    expect((await run("call", "arithmetic", "calculate", '{"a":1,"b":2}')).stdout).toBe('{\n  "result": 3\n}\n');
    writeFileSync(join(project, "request.json"), '{"a":3,"b":4}');
    expect(await json("call", "calculator", "calculate", "@request.json")).toMatchObject({
      agent: "calculator",
      operation: "calculate",
      result: { result: 7 },
    });
  });

  test("what is wrong is told with what would be right", async () => {
    await fails(
      ["call", "calculator", "calculate", '{"a":1,"b":"x"}'],
      'data of "calculate" does not match its schema: /b must be number [PAYLOAD_INVALID]',
      "calculate takes { a: number; b: number }",
    );
    await fails(
      ["call", "arithmetc", "x"],
      'no agent that runs has the capability or the name "arithmetc"',
      "did you mean arithmetic?",
    );
    await fails(
      ["call", "calculator", "calcluate"],
      'calculator has no operation "calcluate"',
      "did you mean calculate?",
    );
    await fails(["call", "searcher", "search"], 'searcher has no operation "search"', "search is a task");
    await fails(
      ["call", "calculator", "fail"],
      'calculator failed at "fail": it broke [HANDLER_FAILED]',
      "`soorma logs calculator`",
    );
    await fails(["call", "calculator", "calculate", "{a:1}"], "the operation's data is not JSON", "names and texts", 2);
    const late = await run("call", "calculator", "hang", "--timeout", "0.2", "--json");
    expect(JSON.parse(late.stderr)).toMatchObject({ error: { code: "TIMEOUT", details: { timeoutMs: 200 } } });
  });

  test("Ctrl-C ends a call as an interruption", async () => {
    const interrupt = new AbortController();
    const called = runWith({ signal: interrupt.signal }, "call", "calculator", "hang");
    await until("the call", async () => {
      const processes = await json<{ running: number }[]>("ps");
      return processes.some(({ running }) => running > 0) || undefined;
    });
    interrupt.abort();
    expect(await called).toMatchObject({ stdout: "", exitCode: 130 });
  });
});

describe("publish", () => {
  test("who publishes is told who gets it, and what is wrong with it", async () => {
    const lost = await run("publish", "paper.found", "{}");
    expect(lost.stdout).toEndWith("nobody subscribes to it\n");
    expect(lost.stderr).toBe("hint: did you mean papers.found?\n");
    expect(lost.exitCode).toBe(0);
    expect(await json("publish", "papers.found", '{"topic":1}', "--no-check")).toMatchObject({
      type: "papers.found",
      topic: "business-facts",
      subscribers: [],
      groups: [{ group: "searcher", members: 1 }],
    });
    await fails(
      ["publish", "papers.found", '{"topic":"x"}'],
      'data of event "papers.found" does not match its schema: /count is missing',
      "Correct the field",
    );
    await fails(["publish", "not a type"], '"not a type" is no event type', "it is words with dots between them", 2);
    await fails(
      ["publish", "a.b", "--topic", "billing"],
      "option '--topic <topic>' argument 'billing' is invalid",
      "",
      2,
    );
    await fails(["events", "tail", "a..b"], '"a..b" is no event pattern', "it is an event's type", 2);
  });
});

describe("memory", () => {
  test("is written, read, listed, searched and removed", async () => {
    expect((await run("memory", "set", "user:7", '{"name":"Ada"}', "--ttl", "1h")).stdout).toMatch(
      /^stored user:7 as version \d+, for 1 h\n$/,
    );
    writeFileSync(join(project, "notes.md"), "# Notes on bees\n");
    expect(await json("memory", "set", "notes:1", "@notes.md", "--text")).toMatchObject({ key: "notes:1" });
    expect((await run("memory", "get", "user:7")).stdout).toBe('{\n  "name": "Ada"\n}\n');
    expect((await run("memory", "get", "notes:1")).stdout).toBe("# Notes on bees\n\n");
    const entry = await json<{ version: number; expiresAtMs: number; updatedAtMs: number }>("memory", "get", "user:7");
    expect(entry.expiresAtMs - entry.updatedAtMs).toBe(3_600_000);
    const listed = await run("memory", "ls", "user:");
    expect(listed.stdout).toMatch(
      /^KEY +VERSION +WRITTEN +LEFT +VALUE\nuser:7 +\d+ +[\d.]+ m?s ago +(?:1 h|59 min .*) +\{"name":"Ada"\}\n$/,
    );
    expect(await json<{ key: string }[]>("memory", "ls", "--limit", "1")).toMatchObject([{ key: "notes:1" }]);
    expect((await run("memory", "ls", "--limit", "1")).stderr).toBe("there are more: --after 'notes:1' shows them\n");
    expect((await run("memory", "search", "bees")).stdout).toMatch(
      /^SCORE +KEY +TEXT\n *[\d.]+ +notes:1 +# Notes on bees\n$/,
    );
    await run("memory", "set", "user:8", "8", "--tenant", "other");
    expect((await run("memory", "rm", "user:", "--prefix", "--yes")).stdout).toBe("removed 1 entry\n");
    expect((await run("memory", "ls", "user:")).stderr).toBe("no key begins with user:\n");
    expect((await run("memory", "get", "user:8", "--tenant", "other")).stdout).toBe("8\n");
  });

  test("what is wrong is told with what would be right, and changes nothing", async () => {
    const { version } = await json<{ version: number }>("memory", "set", "config:limit", "1");
    await fails(
      ["memory", "get", "config:limt"],
      'memory has no entry "config:limt" [KEY_NOT_FOUND]',
      "did you mean config:limit?",
    );
    await fails(["memory", "rm", "cofnig:limit"], 'memory has no entry "cofnig:limit"', "did you mean config:limit?");
    await fails(
      ["memory", "set", "config:limit", "2", "--if-version", "0"],
      `"config:limit" was to be written on condition that there is no entry, but it has version ${version}`,
      "Read the entry again",
    );
    await fails(
      ["memory", "set", "config:limit", "two"],
      "the value is not JSON",
      'names and texts stand in double quotes, and for the shell all of it in single ones: \'{"key":"value"}\'; --text takes it as text',
      2,
    );
    await fails(
      ["memory", "set", "config:limit", "2", "--ttl", "5"],
      "option '--ttl <time>' argument '5' is invalid",
      "see `soorma memory set --help`",
      2,
    );
    await fails(
      ["memory", "rm", "config:", "--prefix"],
      "1 entry beginning with config: would be removed",
      "say --yes",
      2,
    );
    await fails(
      ["memory", "rm", "config:", "--prefix", "--if-version", "1"],
      "--prefix and --if-version do not go together",
      "a version is of one entry",
      2,
    );
    expect((await run("memory", "get", "config:limit")).stdout).toBe("1\n");
    expect((await run("memory", "set", "config:limit", "3", "--if-version", String(version))).exitCode).toBe(0);
    await run("memory", "rm", "config:limit");
  });
});

describe("schemas", () => {
  beforeAll(async () => {
    const contract = (version: string, b: TSchema) =>
      defineTool({
        name: "convert",
        version,
        input: Type.Object({ a: Type.String(), b }),
        output: Type.Object({ c: Type.Number() }),
      });
    for (const [version, b] of [
      ["1.0.0", Type.Number()],
      ["1.1.0", Type.Integer()],
      ["2.0.0", Type.Optional(Type.Integer())],
    ] as const) {
      await using tool = new Tool({ name: "converter", mesh: connectMesh({ log: silentLogger }) });
      tool.onInvoke(contract(version, b), () => ({ c: 1 }));
      await tool.run();
    }
  });

  test("are listed with the version in use, and who uses it", async () => {
    const { stdout } = await run("schemas", "ls", "c");
    expect(stdout).toMatch(/^SCHEMA +VERSION +OF +USED BY +DESCRIPTION\n/);
    expect(stdout).toMatch(/\ncalculate\.input +1\.0\.0\+dev\.\w+ +1 +calculator +Does sums\n/);
    expect(stdout).toMatch(/\nconvert\.input +2\.0\.0 +3\n/);
    expect(await json("schemas", "ls", "convert.o")).toEqual([
      { name: "convert.output", current: "2.0.0", versions: ["1.0.0", "1.1.0", "2.0.0"], usedBy: [] },
    ]);
  });

  test("are shown as types, in the version that is meant", async () => {
    const { stdout } = await run("schemas", "show", "convert.input@1");
    expect(stdout).toBe(
      "convert.input  1.1.0\nused by no agent that runs\nother versions: 1.0.0, 2.0.0\n\n{\n  a: string;\n  b: number; // whole number\n}\n",
    );
    expect((await run("schemas", "show", "convert.input")).stdout).toContain("b?: number;");
    expect(JSON.parse((await run("schemas", "show", "convert.output", "--schema")).stdout)).toMatchObject({
      type: "object",
    });
    expect(await json("schemas", "show", "calculate.input")).toMatchObject({
      name: "calculate.input",
      usedBy: ["calculator"],
    });
  });

  test("are compared, and what breaks callers is said", async () => {
    expect((await run("schemas", "diff", "convert.input")).stdout).toBe(
      ["convert.input  1.1.0 → 2.0.0", "✓ fits  /b  optional now", "nothing breaks", ""].join("\n"),
    );
    const narrowed = await run("schemas", "diff", "convert.input", "1.0.0", "1.1.0", "--check");
    expect(narrowed.stdout).toBe(
      [
        "convert.input  1.0.0 → 1.1.0",
        "✗ breaking  /b  number is integer now",
        "1 change breaks callers that send what the old version asks for",
        "by semver that is a new major version, not a minor one",
        "",
      ].join("\n"),
    );
    expect(narrowed.exitCode).toBe(1);
    expect(await json("schemas", "diff", "convert.input@2", "1.0.0")).toMatchObject({
      from: "2.0.0",
      to: "1.0.0",
      bump: "major",
      breaking: true,
      changes: [
        { path: "/b", what: "required now" },
        { path: "/b", what: "integer is number now", breaking: false },
      ],
    });
    expect((await run("schemas", "diff", "convert.output")).stdout).toBe(
      "convert.output  1.1.0 → 2.0.0\nno difference\n",
    );
  });

  test("that are mistyped are suggested", async () => {
    await fails(
      ["schemas", "show", "convret.input"],
      'there is no schema "convret.input"',
      "did you mean convert.input?",
    );
    await fails(
      ["schemas", "show", "convert"],
      'there is no schema "convert"',
      "there is convert.input and convert.output",
    );
    await fails(
      ["schemas", "diff", "convert.input", "3"],
      'schema convert.input has no version "3"',
      "its versions are 1.0.0, 1.1.0, 2.0.0",
    );
    await fails(
      ["schemas", "diff", "calculate.input"],
      "schema calculate.input has one version",
      "an agent registers another one",
    );
  });
});

test("without a running mesh every command says how to start one", async () => {
  const mesh = process.env[meshFileVariable];
  process.env[meshFileVariable] = join(folder, "nothing.json");
  try {
    const commands = [
      ["ps"],
      ["top"],
      ["agents"],
      ["agents", "show", "a"],
      ["call", "a", "b"],
      ["publish", "a.b"],
      ["events"],
      ["memory"],
      ["memory", "get", "a"],
      ["schemas"],
      ["plans"],
      ["goal", "a"],
    ];
    for (const args of commands) {
      const { stdout, stderr, exitCode } = await run(...args);
      expect(stderr).toContain("hint: start one with `soorma dev`");
      expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
    }
  } finally {
    process.env[meshFileVariable] = mesh;
  }
});
