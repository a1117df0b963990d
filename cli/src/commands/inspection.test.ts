/** The commands that look into a mesh, run in this process against one that runs; what needs a terminal is in tests/e2e. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { meshFileVariable } from "../mesh-file.ts";
import { papersMesh } from "./fixtures/papers-mesh.ts";

setDefaultTimeout(60_000);

const { path: project, folder, freed, run, runWith, json, fails } = papersMesh();

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
      const { stdout, exitCode } = await runWith({ stdoutColumns: 40 }, ...args);
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

describe("goal", () => {
  test("who sends what a goal does not take is told what it takes", async () => {
    await fails(
      ["goal", "summarize.goal"],
      'data of goal "summarize.goal" does not match its schema: /topic is missing',
      "summarize.goal takes { topic: string }",
    );
    await fails(["goal", "sumarize.goal"], "no planner in the mesh took goal", "did you mean summarize.goal?");
  });

  test("Ctrl-C between the goal's way to its planner and the answer cancels it, too", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let isConnected = false;
    // Who waits for an answer listens to the signal: at first for the connection, then for the planner.
    signal.removeEventListener = (...args: Parameters<AbortSignal["removeEventListener"]>) => {
      AbortSignal.prototype.removeEventListener.apply(signal, args);
      isConnected = true;
    };
    signal.addEventListener = (...args: Parameters<AbortSignal["addEventListener"]>) => {
      AbortSignal.prototype.addEventListener.apply(signal, args);
      if (isConnected) setImmediate(() => controller.abort());
    };
    const { stderr, exitCode } = await runWith({ signal }, "goal", "research.goal", '{"topic":"ctrl-c"}');
    expect(exitCode).toBe(130);
    const plans = await json<{ planId: string; status: string }[]>("plans", "list", "--limit", "1");
    expect(stderr).toBe(`interrupted; the goal is cancelled (plan ${plans[0]?.planId})\n`);
    expect(plans[0]?.status).toBe("cancelled");
  });
});

test("Ctrl-C ends a repl that has just connected", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  // The connection is there: nobody listens for it any more.
  signal.removeEventListener = () => controller.abort();
  const { stdout, stderr, exitCode } = await runWith({ signal }, "repl", "--eval", "new Promise(() => {})");
  expect({ stdout, stderr, exitCode }).toEqual({ stdout: "", stderr: "interrupted\n", exitCode: 130 });
}, 5_000);

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
