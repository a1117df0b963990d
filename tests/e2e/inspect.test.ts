import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Envelope } from "@soorma/core";
import { bin, cleanEnv, type Finished, soorma, startSoorma, tempFolder, until } from "./cli-run.ts";
import { openTerminal, tmuxProgram } from "./tmux.ts";

setDefaultTimeout(60_000);

const folder = tempFolder();
const project = join(folder.path, "papers");

const agents = `
import { defineEvent, defineGoal, definePlan, defineTask, defineTool, Planner, Tool, Type, Worker } from "soorma";
const found = defineEvent({ name: "papers.found", data: Type.Object({ topic: Type.String(), count: Type.Integer() }) });
const search = defineTask({
  name: "search", description: "Finds papers",
  input: Type.Object({ topic: Type.String() }), output: Type.Object({ papers: Type.Array(Type.String()) }),
});
const calculate = defineTool({
  name: "calculate", description: "Does sums",
  input: Type.Object({ a: Type.Number(), b: Type.Number() }), output: Type.Object({ result: Type.Number() }),
});
const worker = new Worker({ name: "searcher", description: "Searches\\u001b[2J papers", capabilities: ["paper_search"], produces: [found] });
worker.onTask(search, async ({ data }, { bus }) => {
  await bus.publish(found, { topic: data.topic, count: 1 });
  return { papers: ["a"] };
});
worker.onTask("wait", ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))));
worker.onEvent("papers.*", () => {});
const tool = new Tool({ name: "calculator", description: "Calculates", version: "1.2.0", capabilities: ["arithmetic"], drainMs: 50 });
tool.onInvoke(calculate, ({ data }) => ({ result: data.a + data.b }));
tool.onInvoke("fail", () => { throw new Error("it\\u001b[31m broke"); });
tool.onInvoke("hang", () => new Promise(() => {}));
tool.onInvoke("block", ({ data }) => { Bun.sleepSync(data.ms); });
const planner = new Planner({ name: "research-planner" });
planner.onGoal("research.goal", ({ data }) => ({ tasks: [
  { name: "search", assignedTo: "search", data },
  { name: "wait", assignedTo: "wait", dependsOn: ["search"] },
] }));
await Promise.all([worker, tool, planner].map((agent) => agent.run()));
`;

beforeAll(async () => {
  mkdirSync(join(project, "src"), { recursive: true });
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(import.meta.dir, "..", "..", "cli"), join(project, "node_modules/soorma"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "papers", type: "module" }));
  writeFileSync(join(project, "agent.ts"), agents);
  const { stderr, exitCode } = await soorma(["dev", "--detach"], { cwd: project });
  expect(stderr).not.toContain("error");
  expect(exitCode).toBe(0);
}, 60_000);

afterAll(async () => {
  await soorma(["dev", "--stop"], { cwd: project });
  folder[Symbol.dispose]();
}, 60_000);

const run = (...args: string[]): Promise<Finished> => soorma(args, { cwd: project });

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

  test("running work and events show up, per process and in the sums", async () => {
    const { stdout: planId } = await run("goal", "research.goal", '{"topic":"bees"}', "--no-wait");
    const top = await until("the waiting task", async () => {
      const found = await json<{ totals: { running: number; plans: number }; processes: { pid: number }[] }>("top");
      return found.totals.running === 1 && found.totals.plans === 1 ? found : undefined;
    });
    expect(top.processes.every(({ pid }) => pid > 0)).toBe(true);
    await run("plans", "cancel", planId.trim());
    const snapshot = await run("top", "--once");
    expect(snapshot.stdout).toStartWith(`soorma top ${project}\n3 processes · 4 agents · up `);
  });

  test("a process that is too busy to answer is listed with that, and the others as always", async () => {
    const blocked = run("call", "calculator", "block", '{"ms":3000}');
    const found = await until("the silence", async () => {
      const processes = await json<{ role: string; problem?: string; rssBytes?: number }[]>("ps");
      return processes.some(({ problem }) => problem !== undefined) ? processes : undefined;
    });
    const others = found.filter(({ role }) => role !== "client");
    expect(others.map(({ role, problem }) => [role, problem])).toEqual([
      ["broker", undefined],
      ["state", undefined],
      ["mixed", "no answer: busy or stopped"],
    ]);
    expect((await blocked).exitCode).toBe(0);
  });

  test.if(tmuxProgram !== null)(
    "top draws the terminal full, takes keys, follows its size, and leaves no trace",
    async () => {
      await using terminal = await openTerminal(project, ["top", "--interval", "0.2"], { columns: 80, rows: 20 });
      const lines = await terminal.sees("q leave  ? help  s by cpu  p pause");
      expect(lines[0]).toBe(`soorma top ${project}`.slice(0, 80));
      expect(lines.join("\n")).toMatch(/3 processes · 4 agents · up .* · cpu \d+% · memory \d+ MB/);
      expect(lines.filter((line) => /^ *\d+ +(broker|state|mixed) /.test(line))).toHaveLength(3);
      await terminal.type("?");
      expect((await terminal.sees("CPU        share of one core")).at(-1)).toBe("q leave  ? back");
      await terminal.type("?ms");
      await terminal.sees("s by running");
      await terminal.type("p");
      await terminal.sees("p pause  paused");
      await terminal.type("p");
      await terminal.resize(40, 12);
      const narrow = await terminal.sees(/^ *PID {2}ROLE +AGENTS +CPU {2}RUN$/);
      expect(Math.max(...narrow.map((line) => line.length))).toBeLessThanOrEqual(40);
      expect(narrow.length).toBeLessThanOrEqual(12);
      await terminal.type("q");
      expect(await terminal.ended()).toBe(0);
      expect((await terminal.screen()).join("\n")).not.toContain("PID");
    },
  );

  test.if(tmuxProgram !== null)("Ctrl-C ends top as an interruption", async () => {
    await using terminal = await openTerminal(project, ["top"], { env: { NO_COLOR: "1" } });
    await terminal.sees("q leave");
    await terminal.press("C-c");
    expect(await terminal.ended()).toBe(130);
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
      /Emits events\n {2}papers\.found {2}business-facts\n {4}data \{ count: number; topic: string \}/,
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

describe("call", () => {
  test("the answer is on stdout, whether the agent is meant by capability or by name", async () => {
    expect((await run("call", "arithmetic", "calculate", '{"a":1,"b":2}')).stdout).toBe('{\n  "result": 3\n}\n');
    writeFileSync(join(project, "request.json"), '{"a":3,"b":4}');
    expect(await json("call", "calculator", "calculate", "@request.json")).toMatchObject({
      agent: "calculator",
      operation: "calculate",
      result: { result: 7 },
    });
    const child = Bun.spawn([process.execPath, bin, "call", "calculator", "calculate", "-"], {
      cwd: project,
      env: cleanEnv(),
      stdin: new Blob(['{"a":5,"b":6}']),
      stdout: "pipe",
    });
    expect(JSON.parse(await child.stdout.text())).toEqual({ result: 11 });
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
    const child = startSoorma(["call", "calculator", "hang"], { cwd: project });
    await until("the call", async () => (await json<{ running: number }[]>("ps")).some(({ running }) => running > 1));
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
  });
});

describe("events and publish", () => {
  /** Follows events while `act` goes on; resolves with what was printed. */
  async function tailing(args: readonly string[], act: () => Promise<unknown>): Promise<Finished> {
    const child = startSoorma(["events", "tail", ...args], { cwd: project });
    const ready = async (): Promise<boolean> =>
      (
        await json<{ consumes: unknown[]; instances: { agentId: string }[] }[]>("agents", "list", "--kind", "client")
      ).some(({ instances }) => instances.length > 0);
    await until("the subscription", ready);
    await act();
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { stdout, stderr, exitCode: child.exitCode };
  }

  const publish = (...args: string[]) => run("publish", ...args);

  test("what is published is followed: as a line for people, as JSON with its trace and parent for programs", async () => {
    let published: Finished | undefined;
    const { stdout, exitCode } = await tailing(["papers.*", "--limit", "1"], async () => {
      published = await publish("papers.found", '{"topic":"bees","count":2}', "--subject", "hive");
    });
    expect(exitCode).toBe(0);
    const [, id] =
      /published papers\.found on business-facts as (\S+): to 1 subscriber \(soorma-cli\) and one member of group searcher\n/.exec(
        published?.stdout ?? "",
      ) ?? [];
    expect(stdout).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} {2}papers\.found {2}soorma-cli {2}hive {2}\{"topic":"bees","count":2\} {2}trace /,
    );
    expect(stdout).toEndWith(`trace ${id}\n`);

    let planId = "";
    const lines = await tailing(["--limit", "1", "--json"], async () => {
      planId = (await run("goal", "research.goal", '{"topic":"ants"}', "--no-wait")).stdout.trim();
    });
    const event = JSON.parse(lines.stdout) as Envelope;
    expect(event).toMatchObject({ type: "papers.found", planId, data: { topic: "ants", count: 1 } });
    expect(event.parentId).toBeString();
    expect(event.traceId).not.toBe(event.id);
    await run("plans", "cancel", planId);
  });

  test("only what belongs to a plan is shown if that is wanted", async () => {
    await fails(["events", "tail", "--plan", "plan-nosuch"], "there is no plan plan-nosuch", "");
    const { stdout: planId } = await run("goal", "research.goal", '{"topic":"wasps"}', "--no-wait");
    const { stdout, stderr } = await tailing(["--plan", planId.trim(), "--for", "1"], async () => {
      await publish("papers.found", '{"topic":"others","count":9}');
    });
    expect(stdout).toBe("");
    expect(stderr).toEndWith("0 events\n");
    await run("plans", "cancel", planId.trim());
  });

  test("a reader that went away ends it quietly", async () => {
    const child = Bun.spawn(["sh", "-c", `"$0" "$1" events tail --json | head -1`, process.execPath, bin], {
      cwd: project,
      env: cleanEnv(),
      stdout: "pipe",
      stderr: "pipe",
    });
    let ended = false;
    void child.exited.then(() => {
      ended = true;
    });
    await until("its end", async () => {
      await publish("papers.found", '{"topic":"bees","count":2}');
      return ended;
    });
    expect(await child.stderr.text()).toBe("");
    expect(JSON.parse(await child.stdout.text())).toMatchObject({ type: "papers.found" });
  });

  test("who publishes is told who gets it, and what is wrong with it", async () => {
    const lost = await publish("paper.found", "{}");
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
      /^KEY +VERSION +WRITTEN +LEFT +VALUE\nuser:7 +\d+ +[\d.]+ m?s ago +59 min .*\{"name":"Ada"\}\n$/,
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

  test.if(tmuxProgram !== null)("many are removed only after a person said so", async () => {
    await run("memory", "set", "draft:1", "1");
    await run("memory", "set", "draft:2", "2");
    {
      await using terminal = await openTerminal(project, ["memory", "rm", "draft:", "--prefix"], { columns: 60 });
      await terminal.sees("Remove 2 entries beginning with draft:?");
      await terminal.type("n");
      await terminal.sees("error: nothing was removed");
      expect(await terminal.ended()).toBe(1);
    }
    await using terminal = await openTerminal(project, ["memory", "rm", "draft:", "--prefix"], { columns: 60 });
    await terminal.sees("Remove 2 entries");
    await terminal.press("C-c");
    expect(await terminal.ended()).toBe(130);
    expect(await json<unknown[]>("memory", "ls", "draft:")).toHaveLength(2);
  });
});

test("without a running mesh every command says how to start one", async () => {
  using elsewhere = tempFolder();
  const commands = [
    ["ps"],
    ["top", "--once"],
    ["agents"],
    ["call", "a", "b"],
    ["publish", "a.b"],
    ["events"],
    ["memory"],
  ];
  const all = await Promise.all(commands.map((args) => soorma(args, { cwd: elsewhere.path })));
  for (const { stdout, stderr, exitCode } of all) {
    expect(stderr).toContain("error: no mesh runs in");
    expect(stderr).toContain("hint: start one with `soorma dev`");
    expect({ stdout, exitCode }).toEqual({ stdout: "", exitCode: 1 });
  }
});
