import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify, isRunning, type ProcessIdentity } from "./process-identity.ts";
import type { ProcessStatus, RunState } from "./run-state.ts";
import { readRunState } from "./run-state.ts";

/** One line of the supervisor's output. */
interface Event {
  ready?: { processes: ProcessStatus[] };
  stale?: number;
  stopped?: boolean;
  held?: boolean;
  error?: string;
  code?: string;
  name?: string;
  line?: string;
  stream?: string;
}

interface Run extends AsyncDisposable {
  readonly child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly events: Event[];
  /** The first event from `from` on that matches. */
  until(matches: (event: Event) => unknown, from?: number): Promise<Event>;
  state(): RunState;
}

let root: string;
const runs: Run[] = [];

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-dev-")));
  mkdirSync(join(root, "src/agents"), { recursive: true });
  writeFileSync(join(root, "package.json"), "{}");
});
afterEach(async () => {
  for (const run of runs.splice(0)) await run[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

const idle = `process.send({ soorma: "ready", info: {} }); setInterval(() => {}, 60_000);`;

function agent(name: string, code: string): string {
  const file = join(root, "src/agents", `${name}.ts`);
  writeFileSync(file, code);
  return file;
}

function supervise(options: Record<string, unknown> = {}): Run {
  const spec = JSON.stringify({ root, ...options });
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "fixtures/run-supervisor.ts"), spec], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const events: Event[] = [];
  const waiting = new Set<() => void>();
  void (async () => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of child.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) events.push(JSON.parse(line) as Event);
      for (const wake of [...waiting]) wake();
    }
  })();
  const run: Run = {
    child,
    events,
    async until(matches, from = 0) {
      const deadline = performance.now() + 20_000;
      for (;;) {
        const found = events.slice(from).find(matches);
        if (found) return found;
        if (performance.now() > deadline) throw new Error(`not seen in 20 s; seen: ${JSON.stringify(events, null, 1)}`);
        const next = Promise.withResolvers<void>();
        waiting.add(next.resolve);
        const timer = setTimeout(next.resolve, 500);
        await next.promise;
        clearTimeout(timer);
        waiting.delete(next.resolve);
      }
    },
    state() {
      const found = readRunState(join(root, ".soorma/run/supervisor.json"));
      if (!found) throw new Error("there is no run file");
      return found.state;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
  runs.push(run);
  return run;
}

function running(run: Run): ProcessIdentity[] {
  return run.state().processes.flatMap(({ process }) => (process ? [process] : []));
}

async function gone(processes: readonly ProcessIdentity[]): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (processes.some(isRunning)) {
    if (performance.now() > deadline) throw new Error(`still running: ${JSON.stringify(processes.filter(isRunning))}`);
    await Bun.sleep(10);
  }
}

const says = (name: string, part: string) => (event: Event) => event.name === name && event.line?.includes(part);

test("a disk that does not take what is noted ends nothing: it is said once, and noted as soon as there is room", async () => {
  agent("one", idle);
  const run = supervise();
  await run.until(({ ready }) => ready);
  const noted = join(root, ".soorma/run/supervisor.json");
  rmSync(noted);
  mkdirSync(noted);
  const from = run.events.length;
  agent("one", `${idle}// saved`);
  await run.until(says("soorma", "what runs cannot be noted"), from);
  await run.until(says("one", "reloaded"), from);
  rmSync(noted, { recursive: true });
  await run.until(says("soorma", "what runs is noted again"), from);
  expect(run.state().phase).toBe("ready");
  expect(run.events.filter(says("soorma", "cannot be noted"))).toHaveLength(1);
  const processes = running(run);
  expect(processes.length).toBeGreaterThan(0);

  rmSync(noted);
  mkdirSync(noted);
  run.child.kill("SIGTERM");
  await gone(processes);
  await run.child.exited;
});

test("broker, state node and every agent run, and a stop ends agents before the state node before the broker", async () => {
  agent("one", idle);
  agent("two", idle);
  writeFileSync(join(root, "src/agents/one.test.ts"), "throw new Error('tests are no agents')");
  const run = supervise();
  const { ready } = await run.until((event) => event.ready);
  expect(ready?.processes.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "broker ready",
    "state ready",
    "one ready",
    "two ready",
  ]);
  expect(existsSync(join(root, ".soorma/run/mesh.json"))).toBe(true);
  const processes = running(run);
  expect(processes).toHaveLength(4);
  run.child.kill("SIGTERM");
  await run.until((event) => event.stopped);
  await gone(processes);
  const order = run.events.filter((event) => event.line?.endsWith(" ends")).map((event) => event.name);
  expect(order).toEqual(["state", "broker"]);
  expect(existsSync(join(root, ".soorma/run/mesh.json"))).toBe(false);
  expect(existsSync(join(root, ".soorma/run/supervisor.json"))).toBe(false);
});

test("a stop ends everything in order, though the disk does not let go of the mesh file", async () => {
  agent("one", idle);
  const run = supervise();
  await run.until(({ ready }) => ready);
  const processes = running(run);
  const meshFile = join(root, ".soorma/run/mesh.json");
  rmSync(meshFile);
  mkdirSync(meshFile);
  run.child.kill("SIGTERM");
  await run.until(({ stopped }) => stopped);
  expect(run.events.filter(says("soorma", `${meshFile} cannot be removed: `))).toHaveLength(1);
  expect(processes.filter(isRunning)).toEqual([]);
});

test("a killed supervisor leaves no process behind, not even one that keeps its CPU busy", async () => {
  agent("one", idle);
  agent(
    "busy",
    `process.send({ soorma: "ready", info: {} }); setTimeout(() => { process.stdout.write("busy now\\n", () => { for (;;); }); }, 1);`,
  );
  const run = supervise({ drainMs: 500 });
  await run.until((event) => event.ready);
  await run.until(says("busy", "busy now"));
  const processes = running(run);
  expect(processes).toHaveLength(4);
  run.child.kill("SIGKILL");
  await gone(processes);
}, 30_000);

test("what a killed supervisor left is cleaned up by the next one", async () => {
  agent("one", idle);
  const first = supervise();
  await first.until((event) => event.ready);
  const processes = running(first);
  first.child.kill("SIGKILL");
  await first.child.exited;
  const second = supervise();
  expect((await second.until((event) => event.stale)).stale).toBe(first.child.pid);
  await second.until((event) => event.ready);
  await gone(processes);
});

test("a run file of a process whose number is another's now is stale", async () => {
  agent("one", idle);
  const file = join(root, ".soorma/run/supervisor.json");
  mkdirSync(join(root, ".soorma/run"), { recursive: true });
  const state = {
    version: 1,
    supervisor: { pid: process.pid, startTime: "before" },
    phase: "ready",
    startedAtMs: 1,
    processes: [],
  };
  writeFileSync(file, JSON.stringify(state));
  const run = supervise();
  await run.until((event) => event.stale);
  await run.until((event) => event.ready);
});

test("a second supervisor of the same project is refused", async () => {
  agent("one", idle);
  const first = supervise();
  await first.until((event) => event.ready);
  const second = supervise();
  const { error, code } = await second.until((event) => event.error);
  expect(code).toBe("ALREADY_RUNNING");
  expect(error).toContain(`process ${first.child.pid}`);
});

test("a saved file restarts the agents that import it, and no others", async () => {
  writeFileSync(join(root, "src/shared.ts"), "export const version = 1;");
  const code = `import { version } from "../shared.ts"; console.log("version", version); ${idle}`;
  agent("uses", code);
  agent("other", idle);
  const run = supervise();
  await run.until((event) => event.ready);
  await run.until(says("uses", "version 1"));
  const [, , otherBefore] = running(run);
  const from = run.events.length;
  writeFileSync(join(root, "src/shared.ts"), "export const version = 2;");
  await run.until(says("uses", "version 2"), from);
  await run.until(says("uses", "reloaded"), from);
  expect(run.state().processes.find(({ name }) => name === "other")?.process).toEqual(otherBefore);
  expect(run.state().processes.find(({ name }) => name === "other")?.restarts).toBe(0);
});

test("a syntax error is shown with its line while the old process goes on, and the next save mends it", async () => {
  const file = agent("one", `console.log("version 1"); ${idle}`);
  const run = supervise();
  await run.until((event) => event.ready);
  const before = run.state().processes.find(({ name }) => name === "one")?.process;
  let from = run.events.length;
  writeFileSync(file, "const x = {\n  a: 1\n  b: 2 };");
  await run.until(says("one", "src/agents/one.ts:3:3"), from);
  await run.until(says("one", "3 |   b: 2"), from);
  await run.until(says("one", "the old one keeps running"), from);
  expect(before && isRunning(before)).toBe(true);
  from = run.events.length;
  writeFileSync(file, `console.log("version 2"); ${idle}`);
  await run.until(says("one", "version 2"), from);
  await run.until(says("one", "reloaded"), from);
  await gone(before ? [before] : []);
});

test("a crash is shown once, tried again with longer and longer pauses, and at once when a file is saved", async () => {
  const file = agent("one", `throw new Error("broken at once, by " + process.pid);`);
  agent("two", idle);
  const run = supervise();
  const { ready } = await run.until((event) => event.ready);
  expect(ready?.processes.find(({ name }) => name === "one")?.state).toBe("failed");
  await run.until(says("one", "starts again in 0.02 s, or when a file is saved"));
  await run.until(says("one", "the same as before (2 times); starts again in 0.04 s"));
  await run.until(says("one", "the same as before (3 times); starts again in 0.08 s"));
  expect(run.events.filter(says("one", "error: broken at once"))).toHaveLength(1);
  expect(run.state().processes.find(({ name }) => name === "one")?.state).toBe("failed");
  const from = run.events.length;
  writeFileSync(file, `console.log("mended"); ${idle}`);
  await run.until(says("one", "mended"), from);
  expect(run.events.slice(from).some(says("one", "broken at once"))).toBe(false);
});

test("what a process of the same agent says when it crashes in another way is shown", async () => {
  agent(
    "one",
    `const n = Number(await Bun.file("count").text().catch(() => "0")); await Bun.write("count", String(n + 1));
     throw new Error(["first", "first", "second"][Math.min(n, 2)] + " reason");`,
  );
  const run = supervise();
  await run.until(says("one", "error: second reason"));
  expect(run.events.filter(says("one", "error: first reason"))).toHaveLength(1);
});

test("an agent that ends without having been ready is asked for its await", async () => {
  agent("one", `console.log("hello");`);
  const run = supervise();
  await run.until((event) => event.ready);
  await run.until(says("one", "does it `await` its `run()`?"));
});

test("a new version that cannot start leaves the old one running", async () => {
  const file = agent("one", idle);
  const run = supervise();
  await run.until((event) => event.ready);
  const [, , before] = running(run);
  const from = run.events.length;
  writeFileSync(file, `throw new Error("new and broken");`);
  await run.until(says("one", "new and broken"), from);
  await run.until(says("one", "the old one keeps running"), from);
  expect(before && isRunning(before)).toBe(true);
});

test("a new version that needs the old one's port gets it", async () => {
  const serve = (version: number): string =>
    `Bun.serve({ port: Number(await Bun.file("port").text()), fetch: () => new Response("${version}") }); ${idle}`;
  const probe = Bun.serve({ port: 0, fetch: () => new Response("") });
  const port = probe.port;
  await probe.stop(true);
  writeFileSync(join(root, "port"), String(port));
  const file = agent("one", serve(1));
  const run = supervise();
  await run.until((event) => event.ready);
  const from = run.events.length;
  writeFileSync(file, serve(2));
  await run.until(says("one", "reloaded"), from);
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("2");
});

test("an agent that crashes is started again", async () => {
  agent("one", idle);
  const run = supervise();
  await run.until((event) => event.ready);
  const [, , before] = running(run);
  if (!before) throw new Error("the agent has no process");
  process.kill(before.pid, "SIGKILL");
  await run.until(says("one", "signal SIGKILL"));
  for (;;) {
    const now = run.state().processes.find(({ name }) => name === "one");
    if (now?.state === "ready" && now.process?.pid !== before.pid) break;
    await Bun.sleep(10);
  }
});

test("a killed broker is started again, and the mesh file names the new process", async () => {
  agent("one", idle);
  const run = supervise();
  await run.until((event) => event.ready);
  const [before] = running(run);
  if (!before) throw new Error("the broker has no process");
  process.kill(before.pid, "SIGKILL");
  await run.until(says("broker", "runs again"));
  const mesh = (await Bun.file(join(root, ".soorma/run/mesh.json")).json()) as { broker: { pid: number } };
  expect(mesh.broker.pid).not.toBe(before.pid);
  expect(identify(mesh.broker.pid)).toBeDefined();
});

test("an agent's file that is added is started, one that is removed is stopped", async () => {
  const file = agent("one", idle);
  const run = supervise();
  await run.until((event) => event.ready);
  agent("two", `console.log("two is here"); ${idle}`);
  await run.until(says("two", "two is here"));
  const from = run.events.length;
  rmSync(file);
  await run.until(says("one", "stopped"), from);
});

test("of two saved configurations the later one counts, though the earlier one takes longer to be read", async () => {
  agent("one", idle);
  const run = supervise();
  await run.until(({ ready }) => ready);
  writeFileSync(join(root, "hold"), "");
  agent("two", idle);
  await run.until(({ held }) => held);
  agent("three", idle);
  const isReady = (name: string) => run.state().processes.some((one) => one.name === name && one.state === "ready");
  await run.until(() => isReady("two") && isReady("three"));
  rmSync(join(root, "held"));
  agent("four", idle);
  await run.until(() => isReady("four"));
  expect(run.events.filter(says("three", "is no agent"))).toEqual([]);
  expect(isReady("three")).toBe(true);
});

test("a configuration that is wrong when it is saved ends nothing while agents start either", async () => {
  const file = join(root, "one.ts");
  const manifest = join(root, "package.json");
  const agents = (agents: unknown): void => writeFileSync(manifest, JSON.stringify({ soorma: { agents } }));
  writeFileSync(file, `console.log("begun"); setInterval(() => {}, 60_000);`);
  agents({ one: file });
  const run = supervise();
  await run.until(says("one", "begun"));
  agents("one.ts");
  await run.until(says("soorma", "soorma.agents names no file"));
  writeFileSync(file, idle);
  agents({ one: file, two: file });
  const { ready } = await run.until((event) => event.ready);
  expect(ready?.processes.map(({ name }) => name)).toEqual(["broker", "state", "one", "two"]);
});

test("a state node that cannot start ends the start with what it said", async () => {
  agent("one", idle);
  const run = supervise({ stateMode: "fail" });
  const { error, code } = await run.until((event) => event.error);
  expect(code).toBe("STORE_READ_ONLY");
  expect(error).toBe("the state cannot start: the folder /x cannot be written");
});

test("with --build the bundle is what runs, and a saved import is in the next one", async () => {
  writeFileSync(join(root, "src/shared.ts"), "export const version = 1;");
  agent("one", `import { version } from "../shared.ts"; console.log(import.meta.path, version); ${idle}`);
  const run = supervise({ build: true });
  await run.until((event) => event.ready);
  expect((await run.until(says("one", "one.js 1"))).line).toContain(".soorma/build/");
  const from = run.events.length;
  writeFileSync(join(root, "src/shared.ts"), "export const version = 2;");
  await run.until(says("one", "one.js 2"), from);
});

/** Waits for the word before it works, as an agent made with soorma does. */
const works = (version: number): string => `process.on("message", ({ soorma }) => {
  if (soorma !== "work") return;
  console.log("version ${version} works");
  process.send({ soorma: "ready", info: {} });
});
process.send({ soorma: "loaded" });
setInterval(() => {}, 60_000);`;

/** Stands for the project's TypeScript, one without a server: what it complains of is every \`WRONG\` in a source. */
function installCompiler(): void {
  const folder = join(root, "node_modules/typescript");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(root, "tsconfig.json"), "{}");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "typescript", bin: { tsc: "tsc.js" } }));
  writeFileSync(
    join(folder, "tsc.js"),
    `for (const name of new Bun.Glob("src/**/*.ts").scanSync(".")) {
       (await Bun.file(name).text()).split("\\n").forEach((line, i) => {
         const at = line.indexOf("WRONG");
         if (at >= 0) console.log(name + "(" + (i + 1) + "," + (at + 1) + "): error TS1: not right");
       });
     }`,
  );
}

/** What became of the agent "one". */
const one = (run: Run): ProcessStatus | undefined => run.state().processes.find(({ name }) => name === "one");

test("code with a type error is never let work, and is shown with its line; the old process goes on until there is code without", async () => {
  installCompiler();
  const file = agent("one", works(1));
  agent("unrelated", `// WRONG\n${idle}`);
  const run = supervise({ reload: { types: true } });
  await run.until((event) => event.ready);
  await run.until(says("soorma", "src/agents/unrelated.ts:1:4"));
  const before = one(run)?.process;
  const from = run.events.length;
  writeFileSync(file, `const x = WRONG; var WRONG;\n${works(2)}`);
  const { line } = await run.until(says("one", "the old one keeps running"), from);
  expect(line).toStartWith("TS1: not right\n  at src/agents/one.ts:1:11\n1 | const x = WRONG;");
  expect(one(run)).toMatchObject({ state: "ready", process: before, problem: "TS1: not right", restarts: 0 });
  writeFileSync(file, works(3));
  await run.until(says("one", "version 3 works"), from);
  await gone(before ? [before] : []);
  expect(one(run)).toMatchObject({ state: "ready", restarts: 1 });
  expect(run.events.some(says("one", "version 2 works"))).toBe(false);
});

test("code that is saved again before its types are known is never let work", async () => {
  installCompiler();
  const file = agent("one", works(1));
  const run = supervise({ reload: { types: true } });
  await run.until((event) => event.ready);
  const before = one(run)?.process;
  // A compiler that takes its time: it waits for a word.
  const compiler = join(root, "node_modules/typescript/tsc.js");
  const text = await Bun.file(compiler).text();
  writeFileSync(
    compiler,
    `await Bun.write("asked", ""); while (!(await Bun.file("word").exists())) await Bun.sleep(5);\n${text}`,
  );
  writeFileSync(file, works(2));
  while (!existsSync(join(root, "asked"))) await Bun.sleep(5);
  writeFileSync(file, `// WRONG\n${works(3)}`);
  writeFileSync(join(root, "word"), "");
  await run.until(says("one", "the old one keeps running"));
  expect(one(run)?.process).toEqual(before as ProcessIdentity);
  expect(run.events.some((event) => /version [23] works/.test(event.line ?? ""))).toBe(false);
});

test("an agent that crashes while what is saved has a type error waits for a change", async () => {
  installCompiler();
  const file = agent("one", works(1));
  const run = supervise({ reload: { types: true } });
  await run.until((event) => event.ready);
  writeFileSync(file, `// WRONG\n${works(2)}`);
  await run.until(says("one", "the old one keeps running"));
  const { pid } = one(run)?.process ?? {};
  if (pid === undefined) throw new Error("the agent has no process");
  process.kill(pid, "SIGKILL");
  await run.until(says("one", "waiting for a change"));
  writeFileSync(file, works(3));
  await run.until(says("one", "version 3 works"));
  expect(run.events.some(says("one", "version 2 works"))).toBe(false);
});

test("a process that stands by becomes the agent's next, with the file as it is then, and is replaced", async () => {
  const file = agent("one", `console.log("version 1"); ${idle}`);
  const run = supervise({ reload: { types: false } });
  await run.until((event) => event.ready);
  const standby = async (not?: number): Promise<ProcessIdentity> => {
    for (;;) {
      const [found] = run.state().standbys ?? [];
      if (found && found.pid !== not) return found;
      await Bun.sleep(10);
    }
  };
  const waiting = await standby();
  expect(run.events.filter(says("one", "version"))).toHaveLength(1);
  writeFileSync(join(root, "src/new.ts"), "export const version = 2;");
  writeFileSync(
    file,
    `import { version } from "../new.ts"; console.log("version", version, import.meta.main); ${idle}`,
  );
  await run.until(says("one", "version 2 true"));
  await run.until(says("one", "reloaded"));
  expect(running(run)[2]).toEqual(waiting);
  const next = await standby(waiting.pid);
  run.child.kill("SIGKILL");
  await gone([waiting, next]);
});
