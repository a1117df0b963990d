import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Envelope } from "@soorma/core";
import { bin, cleanEnv, type Finished, startSoorma, until } from "./cli-run.ts";
import { devProject } from "./dev-project.ts";
import { openTerminal, tmuxProgram } from "./tmux.ts";

setDefaultTimeout(60_000);

const { folder, path: project, run, json } = devProject("papers", () => ({ "agent.ts": agents }));

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
tool.onInvoke("tick", async ({ data }, { bus }) => { for (let n = 0; n < data.times; n++) await bus.publish("tick.tock", n); });
tool.onInvoke("hang", () => new Promise(() => {}));
tool.onInvoke("block", ({ data }) => { Bun.sleepSync(data.ms); });
const planner = new Planner({ name: "research-planner" });
planner.onGoal("research.goal", ({ data }) => ({ tasks: [
  { name: "search", assignedTo: "search", data },
  { name: "wait", assignedTo: "wait", dependsOn: ["search"] },
] }));
await Promise.all([worker, tool, planner].map((agent) => agent.run()));
`;

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
    const narrow = await terminal.sees(/^ *PID {2}ROLE +AGENTS +CPU {2}RUN/);
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

test.if(tmuxProgram !== null)("many are removed only after a person said so", async () => {
  await run("memory", "set", "draft:1", "1");
  await run("memory", "set", "draft:2", "2");
  {
    await using terminal = await openTerminal(project, ["memory", "rm", "draft:", "--prefix"], { columns: 60 });
    await terminal.sees("Remove 2 entries beginning with draft:?");
    await terminal.press("Enter");
    await terminal.sees("nothing was removed");
    expect(await terminal.ended()).toBe(130);
  }
  await using terminal = await openTerminal(project, ["memory", "rm", "draft:", "--prefix"], { columns: 60 });
  await terminal.sees("Remove 2 entries");
  await terminal.press("C-c");
  expect(await terminal.ended()).toBe(130);
  expect(await json<unknown[]>("memory", "ls", "draft:")).toHaveLength(2);
});

test.each(["types", "goal research.goal", "plans watch", "repl --eval 1"])(
  "Ctrl-C ends %s at once while the broker does not answer",
  async (line) => {
    const asked = Promise.withResolvers<void>();
    using broker = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open: () => asked.resolve(), data() {} } });
    const mesh = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8"));
    mesh.registry.options.address = `tcp://127.0.0.1:${broker.port}`;
    const meshFile = join(folder, "silent/.soorma/run/mesh.json");
    mkdirSync(dirname(meshFile), { recursive: true });
    writeFileSync(meshFile, JSON.stringify(mesh));
    const child = startSoorma(line.split(" "), { cwd: project, env: { SOORMA_MESH: meshFile } });
    await asked.promise;
    const interruptedAt = performance.now();
    child.kill("SIGINT");
    expect(await child.exited).toBe(130);
    // The broker would be waited for a good five seconds.
    expect(performance.now() - interruptedAt).toBeLessThan(3_000);
  },
);

test("data comes from stdin", async () => {
  const child = Bun.spawn([process.execPath, bin, "call", "calculator", "calculate", "-"], {
    cwd: project,
    env: cleanEnv(),
    stdin: new Blob(['{"a":5,"b":6}']),
    stdout: "pipe",
  });
  expect(JSON.parse(await child.stdout.text())).toEqual({ result: 11 });
});

describe("events and publish", () => {
  /** Follows events while `act` goes on; resolves with what was printed. */
  async function tailing(
    args: readonly string[],
    act: (child: ReturnType<typeof startSoorma>) => Promise<unknown>,
  ): Promise<Finished> {
    const child = startSoorma(["events", "tail", ...args], { cwd: project });
    const ready = async (): Promise<boolean> =>
      (
        await json<{ consumes: unknown[]; instances: { agentId: string }[] }[]>("agents", "list", "--kind", "client")
      ).some(({ instances }) => instances.length > 0);
    await until("the subscription", ready);
    await act(child);
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
    const { stdout: planId } = await run("goal", "research.goal", '{"topic":"wasps"}', "--no-wait");
    const { stdout, stderr } = await tailing(["--plan", planId.trim()], async (child) => {
      const { stdout: told } = await publish("papers.found", '{"topic":"others","count":9}');
      expect(told).toContain("(soorma-cli)");
      child.kill("SIGINT");
    });
    expect(stdout).toBe("");
    expect(stderr).toEndWith("0 events\n");
    await run("plans", "cancel", planId.trim());
  });

  test("what it missed stands among the events, with how much it was", async () => {
    const child = startSoorma(["events", "tail", "tick.*", "--json"], { cwd: project });
    let out = "";
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) out += decoder.decode(chunk, { stream: true });
    })();
    const lines = () =>
      out
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Envelope<never>);
    const tick = (times: number) => run("call", "calculator", "tick", JSON.stringify({ times }));
    try {
      await until("the subscription", async () => {
        await tick(1);
        return lines().length > 0;
      });
      const before = lines().length;
      child.kill("SIGSTOP");
      // More than is kept for a subscriber that takes nothing; publishers wait a second for it, no longer.
      expect((await tick(5_000)).exitCode).toBe(0);
      child.kill("SIGCONT");
      await until("the gap", async () => {
        await tick(1);
        return lines().some(({ type }) => type === "system.bus.gap");
      });
      const gap = lines().find(({ type }) => type === "system.bus.gap")?.data as { count: number } | undefined;
      child.kill("SIGINT");
      await Promise.all([reading, child.exited]);
      const shown = lines().filter(({ type }) => type === "tick.tock").length - before;
      expect(gap?.count).toBeGreaterThan(100);
      // All of the five thousand, and one of each look for the gap.
      expect(shown + (gap?.count ?? 0)).toBeWithin(5_001, 5_100);
      expect(await child.stderr.text()).toContain(`${gap?.count} missed`);
    } finally {
      child.kill("SIGKILL");
    }
  });

  test.each([
    ["events tail", "papers.found"],
    ["logs --follow", "agent.ready"],
  ])("a reader of %s that went away ends it quietly", async (line, first) => {
    const child = Bun.spawn(["sh", "-c", `"$0" "$1" ${line} --json | head -1`, process.execPath, bin], {
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
      // Its agent logs that.
      await run("call", "calculator", "fail");
      return ended;
    });
    expect(await child.stderr.text()).toBe("");
    expect(await child.stdout.text()).toContain(`"${first}"`);
  });
});
