import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Finished, soorma, startSoorma, tempFolder, until } from "./cli-run.ts";
import { expectProgram, inTerminal, interrupt } from "./cli-terminal.ts";

let folder: ReturnType<typeof tempFolder>;
/** Whatever a test leaves running. */
const started: { child: ReturnType<typeof startSoorma>; project: string }[] = [];

beforeEach(() => {
  folder = tempFolder();
});
afterEach(async () => {
  for (const { child, project } of started.splice(0)) {
    child.kill("SIGKILL");
    await soorma(["dev", "--stop"], { cwd: project });
  }
  folder[Symbol.dispose]();
}, 60_000);

const planner = `
import { Planner } from "soorma";
const planner = new Planner({ name: "echo-planner", capabilities: [] });
planner.onGoal("echo.goal", async (goal) => ({ tasks: [{ name: "echo", assignedTo: "echo", data: goal.data }] }));
await planner.run();
`;
const worker = (body: string): string => `
import { Worker } from "soorma";
const worker = new Worker({ name: "echo-worker", capabilities: ["echo"] });
worker.onTask("echo", async (task) => { ${body} });
await worker.run();
`;

/** A project with the sources of this repository as its installed soorma. */
function makeProject(path: string, files: Readonly<Record<string, string>>): string {
  const project = join(folder.path, path);
  mkdirSync(join(project, "src/agents"), { recursive: true });
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(import.meta.dir, "..", "..", "cli"), join(project, "node_modules/soorma"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: path, type: "module" }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  return project;
}

function echoProject(path = "echo", body = "return { echoed: task.data };"): string {
  return makeProject(path, { "src/agents/planner.ts": planner, "src/agents/worker.ts": worker(body) });
}

interface Dev {
  readonly child: ReturnType<typeof startSoorma>;
  readonly output: { stdout: string; stderr: string };
  ready(): Promise<string>;
  sees(text: string | RegExp): Promise<unknown>;
}

function startDev(project: string, ...flags: string[]): Dev {
  const child = startSoorma(["dev", ...flags], { cwd: project });
  started.push({ child, project });
  const output = { stdout: "", stderr: "" };
  const collect = async (name: "stdout" | "stderr"): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of child[name]) output[name] += decoder.decode(chunk, { stream: true });
  };
  void collect("stdout");
  void collect("stderr");
  const waiting = async <T>(what: string, check: () => T): Promise<NonNullable<T>> =>
    await until(what, () => {
      const found = check();
      if (!found && child.exitCode !== null) throw new Error(`dev ended before ${what}:\n${output.stderr}`);
      return found;
    });
  return {
    child,
    output,
    ready: () => waiting("the ready line", () => /^ready in .*$/m.exec(output.stdout)?.[0]),
    sees: (text) =>
      waiting(`${text} in the output`, () =>
        typeof text === "string" ? told(output.stderr).includes(text) : text.test(told(output.stderr)),
      ),
  };
}

/** What a person would have read: off a terminal each line is JSON. */
function told(stderr: string): string {
  const lines = stderr.split("\n").map((line) => {
    if (!line.startsWith("{")) return line;
    try {
      return (JSON.parse(line) as { line: string }).line;
    } catch {
      // Not complete yet.
      return "";
    }
  });
  return lines.join("\n");
}

interface Status {
  readonly running: boolean;
  readonly processes: readonly { name: string; state: string; process: { pid: number }; debugger?: string }[];
}

async function statusOf(project: string): Promise<Status> {
  return JSON.parse((await soorma(["dev", "--status", "--json"], { cwd: project })).stdout) as Status;
}

function goal(project: string, data: unknown, ...flags: string[]): Promise<Finished> {
  return soorma(["goal", "echo.goal", JSON.stringify(data), ...flags], { cwd: project });
}

/** A zombie, which its new parent has not looked after yet, is not alive. */
function isAlive(pid: number): boolean {
  const state = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}

test("dev runs the project's agents, a goal is answered, and Ctrl-C stops everything", async () => {
  const project = echoProject();
  const dev = startDev(project);
  expect(await dev.ready()).toMatch(/^ready in \d+ ms · broker ipc:\/\/.+ · 2 agents: planner, worker$/);
  const { stdout, stderr, exitCode } = await goal(project, { x: 1 });
  expect(JSON.parse(stdout)).toEqual({ echo: { echoed: { x: 1 } } });
  expect(stderr).toContain("✓ echo by echo-worker");
  expect(exitCode).toBe(0);
  const mesh = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8")) as {
    transport: { options: { dir: string } };
  };
  const { processes } = await statusOf(project);
  expect(processes.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "broker ready",
    "state ready",
    "planner ready",
    "worker ready",
  ]);
  dev.child.kill("SIGINT");
  expect(await dev.child.exited).toBe(0);
  expect(processes.filter(({ process }) => isAlive(process.pid))).toEqual([]);
  expect(readdirSync(join(project, ".soorma/run"))).toEqual([]);
  expect(existsSync(mesh.transport.options.dir)).toBe(false);
}, 60_000);

test("a saved file is what answers the next goal", async () => {
  const project = echoProject();
  const dev = startDev(project);
  await dev.ready();
  expect(JSON.parse((await goal(project, 1)).stdout)).toEqual({ echo: { echoed: 1 } });
  writeFileSync(join(project, "src/agents/worker.ts"), worker("return { second: task.data };"));
  await dev.sees("reloaded src/agents/worker.ts");
  // The old one may still be there to finish what it had taken.
  await until("the new answer", async () => (await goal(project, 2)).stdout.includes('"second": 2'));
  writeFileSync(join(project, "src/agents/worker.ts"), worker("return { third: task.data }; } {"));
  await dev.sees("the old one keeps running");
  expect(JSON.parse((await goal(project, 3)).stdout)).toEqual({ echo: { second: 3 } });
}, 90_000);

test("while the new code takes what comes, the old process finishes what it has, and hands back what it does not in time", async () => {
  const body = (version: number): string => `
    if (task.data.wait === "word") { await Bun.write("waits", ""); while (!(await Bun.file("word").exists())) await Bun.sleep(5); }
    if (task.data.wait === "never" && ${version} === 1) { await Bun.write("hangs", ""); await new Promise(() => {}); }
    return ${version};`;
  const project = echoProject("echo", body(1));
  writeFileSync(join(project, "soorma.config.ts"), "export default { dev: { drainMs: 4_000, types: false } };");
  const dev = startDev(project);
  await dev.ready();
  const finishes = goal(project, { wait: "word" });
  const hangs = goal(project, { wait: "never" });
  await until("both tasks to run", () => ["waits", "hangs"].every((name) => existsSync(join(project, name))));
  writeFileSync(join(project, "src/agents/worker.ts"), worker(body(2)));
  await dev.sees("reloaded src/agents/worker.ts");
  await until("an answer of the new code", async () => (await goal(project, {})).stdout.includes(": 2"));
  writeFileSync(join(project, "word"), "");
  expect(JSON.parse((await finishes).stdout)).toEqual({ echo: 1 });
  expect(JSON.parse((await hangs).stdout)).toEqual({ echo: 2 });
}, 90_000);

test("two projects at once do not meet, however long their paths are", async () => {
  const one = echoProject("one", "return 1;");
  const two = echoProject(`two/${"long-".repeat(30)}/x`, "return 2;");
  const devs = [startDev(one), startDev(two)];
  for (const dev of devs) await dev.ready();
  expect(JSON.parse((await goal(one, 0)).stdout)).toEqual({ echo: 1 });
  expect(JSON.parse((await goal(two, 0)).stdout)).toEqual({ echo: 2 });
}, 60_000);

test("a second dev in the same project is refused, and the first goes on", async () => {
  const project = echoProject();
  const dev = startDev(project);
  await dev.ready();
  const second = await soorma(["dev"], { cwd: project });
  expect(second.stderr).toContain(`runs in this project already: process ${dev.child.pid}`);
  expect(second.stderr).toContain("soorma dev --stop");
  expect(second.exitCode).toBe(1);
  expect((await goal(project, 1)).exitCode).toBe(0);
}, 60_000);

test("in the background: --detach, --status, --logs, --stop", async () => {
  const project = echoProject();
  const detached = await soorma(["dev", "--detach", "--json"], { cwd: project });
  expect(detached.exitCode).toBe(0);
  const { pid } = JSON.parse(detached.stdout) as { pid: number };
  started.push({ child: startSoorma(["version"], { cwd: project }), project });
  expect((await goal(project, 1)).exitCode).toBe(0);
  expect((await statusOf(project)).running).toBe(true);
  const again = await soorma(["dev", "--detach"], { cwd: project });
  expect(again.stderr).toContain("runs in this project already");
  const following = startSoorma(["dev", "--logs", "--follow"], { cwd: project });
  expect((await soorma(["dev", "--logs"], { cwd: project })).stdout).toMatch(/^worker +│ .*agent\.ready/m);
  const stopped = await soorma(["dev", "--stop"], { cwd: project });
  expect(stopped.stdout).toBe("stopped 4 processes\n");
  expect(isAlive(pid)).toBe(false);
  expect(await following.exited).toBe(0);
  expect(await following.stdout.text()).toContain("stopping");
  expect((await soorma(["dev", "--status"], { cwd: project })).exitCode).toBe(1);
}, 60_000);

test("--infra-only starts no agents, and --port puts the broker there", async () => {
  const project = echoProject();
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = probe;
  const taken = await soorma(["dev", "--infra-only", "--port", String(port)], { cwd: project });
  expect(taken.stderr).toContain(`port ${port} is taken by process ${process.pid} (`);
  expect(taken.exitCode).toBe(1);
  probe.stop(true);
  const dev = startDev(project, "--infra-only", "--port", String(port));
  expect(await dev.ready()).toMatch(new RegExp(`broker tcp://127\\.0\\.0\\.1:${port} · state \\S+ · 0 agents$`));
  expect((await statusOf(project)).processes.map(({ name }) => name)).toEqual(["broker", "state"]);
}, 60_000);

test("--only and --instances choose what runs, and off a terminal all it writes are JSON lines with levels and traces", async () => {
  const project = echoProject("echo", "console.warn('got', task.data); return 1;");
  writeFileSync(join(project, "src/agents/other.ts"), "throw new Error('not this one');");
  const dev = startDev(project, "--only", "worker", "--only", "planner", "--instances", "worker=2");
  expect(await dev.ready()).toEndWith("3 agents: planner, worker-1, worker-2");
  expect((await goal(project, { x: 1 })).exitCode).toBe(0);
  await dev.sees("got { x: 1 }");
  const lines = dev.output.stderr
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const said = lines.find(({ component }) => component === "console");
  expect(said).toMatchObject({
    level: "warn",
    name: expect.stringMatching(/^worker-[12]$/),
    traceId: expect.any(String),
  });
  const { stdout } = await soorma(["logs", "worker", "--since", "5m", "--level", "warn", "--grep", "X: 1"], {
    cwd: project,
  });
  expect(stdout).toMatch(/^worker-[12] +│ \d\d:\d\d:\d\d warn got \{ x: 1 \} trace=\S+\n$/);
  const wrong = await soorma(["logs", "wroker"], { cwd: project });
  expect(wrong.stderr).toContain('nothing called "wroker" wrote into the log');
  expect(wrong.exitCode).toBe(1);
  expect((await soorma(["logs", "--grep", "("], { cwd: project })).exitCode).toBe(2);
}, 60_000);

test("--inspect gives each agent a debugger, which is the new process's after a reload", async () => {
  const project = echoProject("echo", "return 1;");
  const dev = startDev(project, "--inspect", "--only", "worker");
  await dev.ready();
  const evaluate = async (): Promise<number> => {
    const url = /worker debugger at (ws:\S+\/worker),/.exec(
      (await statusOf(project)).processes.map(({ name, debugger: at }) => `${name} debugger at ${at},`).join("\n"),
    )?.[1];
    const socket = new WebSocket(url ?? "ws://nowhere");
    const answer = Promise.withResolvers<string>();
    socket.onopen = () =>
      socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression: "process.pid" } }));
    socket.onmessage = ({ data }) => answer.resolve(String(data));
    socket.onerror = () => answer.reject(new Error(`no debugger at ${url}`));
    const { result } = JSON.parse(await answer.promise) as { result: { result: { value: number } } };
    socket.close();
    return result.result.value;
  };
  const before = await evaluate();
  await dev.sees(/debugger at ws:\/\/127\.0\.0\.1:\d+\/worker, in a browser https:\/\/debug\.bun\.sh\/#127/);
  expect((await statusOf(project)).processes.at(-1)?.process.pid).toBe(before);
  writeFileSync(join(project, "src/agents/worker.ts"), worker("return 2;"));
  await dev.sees("reloaded src/agents/worker.ts");
  const after = await evaluate();
  expect(after).not.toBe(before);
  expect(isAlive(before)).toBe(false);
}, 60_000);

test("--clean asks before it removes what a project keeps: without a terminal it needs --yes", async () => {
  const project = echoProject();
  mkdirSync(join(project, ".soorma/data"), { recursive: true });
  const refused = await soorma(["dev", "--stop", "--clean"], { cwd: project });
  expect(refused.stderr).toContain("would be removed [USAGE]\nhint: say --yes");
  expect(refused.exitCode).toBe(2);
  expect(existsSync(join(project, ".soorma/data"))).toBe(true);
  expect((await soorma(["dev", "--stop", "--clean", "--yes"], { cwd: project })).exitCode).toBe(0);
  expect(existsSync(join(project, ".soorma/data"))).toBe(false);
}, 60_000);

test("--stop cleans up after a mesh that a kill or a reboot ended", async () => {
  const project = echoProject();
  const first = startDev(project, "--infra-only");
  await first.ready();
  const mesh = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8")) as {
    transport: { options: { dir: string } };
  };
  const { processes } = await statusOf(project);
  first.child.kill("SIGKILL");
  await first.child.exited;
  const { stderr, exitCode } = await soorma(["dev", "--stop"], { cwd: project });
  expect(stderr).toBe(`nothing runs in this project; cleaned up after process ${first.child.pid}\n`);
  expect(exitCode).toBe(0);
  expect(processes.filter(({ process }) => isAlive(process.pid))).toEqual([]);
  expect(readdirSync(join(project, ".soorma/run"))).toEqual([]);
  expect(existsSync(mesh.transport.options.dir)).toBe(false);
}, 60_000);

test("--build runs bundles", async () => {
  const project = echoProject("echo", "return import.meta.path;");
  const dev = startDev(project, "--build");
  await dev.ready();
  expect((await goal(project, 1)).stdout).toContain(".soorma/build/");
}, 60_000);

test("a data folder that cannot be used ends the start with the store's own error", async () => {
  const project = echoProject();
  mkdirSync(join(project, ".soorma"));
  writeFileSync(join(project, ".soorma/data"), "");
  const { stderr, exitCode } = await soorma(["dev"], { cwd: project });
  expect(stderr).toContain("[STORE_READ_ONLY]");
  expect(stderr).toContain(join(project, ".soorma/data"));
  expect(stderr).not.toContain("this is a bug");
  expect(exitCode).toBe(1);
  expect(readdirSync(join(project, ".soorma/run"))).toEqual([]);
  const detached = await soorma(["dev", "--detach"], { cwd: project });
  expect(detached.stderr).toContain("[STORE_READ_ONLY]");
  expect(detached.exitCode).toBe(1);
}, 60_000);

test("after a kill everything is gone, what was stored is there, and dev starts again", async () => {
  const project = echoProject(
    "echo",
    `const before = (await context.memory.retrieve("count")) ?? 0; await context.memory.store("count", before + 1); return before;`,
  );
  const file = join(project, "src/agents/worker.ts");
  writeFileSync(file, readFileSync(file, "utf8").replace("async (task)", "async (_task, context)"));
  const first = startDev(project);
  await first.ready();
  expect(JSON.parse((await goal(project, 0)).stdout)).toEqual({ echo: 0 });
  const { processes } = await statusOf(project);
  first.child.kill("SIGKILL");
  await first.child.exited;
  const status = await soorma(["dev", "--status"], { cwd: project });
  expect(status.stdout).toContain("did not end in order");
  expect((await goal(project, 0)).stderr).toContain("start one with `soorma dev`");
  await until("all children to end", () => !processes.some(({ process }) => isAlive(process.pid)));
  const second = startDev(project);
  await second.sees("did not end in order: cleaning up after it");
  await second.ready();
  expect(JSON.parse((await goal(project, 0)).stdout)).toEqual({ echo: 1 });
}, 90_000);

test.if(expectProgram !== null)(
  "Ctrl-C in a terminal lets the agents finish: it reaches them through dev alone",
  async () => {
    const project = echoProject();
    const { screen, exitCode } = await inTerminal(project, ["dev"], [["2 agents: planner, worker", interrupt]]);
    expect(screen).toContain("stopping; Ctrl-C again to stop at once");
    expect(screen.match(/agent\.stopped/g)).toHaveLength(2);
    expect(screen).not.toContain("ended with");
    expect(exitCode).toBe(0);
  },
  60_000,
);

test("a second Ctrl-C ends at once what does not want to end", async () => {
  const project = echoProject();
  writeFileSync(
    join(project, "src/agents/stubborn.ts"),
    `import { Tool } from "soorma";
     await new Tool({ name: "stubborn", capabilities: [] }).run();
     process.removeAllListeners("SIGTERM");
     process.on("SIGTERM", () => console.log("not me"));`,
  );
  const dev = startDev(project);
  await dev.ready();
  const { processes } = await statusOf(project);
  dev.child.kill("SIGINT");
  await dev.sees("not me");
  const startedMs = performance.now();
  // Where these tests run in a terminal's foreground, two within a moment are taken for one that was passed on.
  await until("it to end", () => {
    dev.child.kill("SIGINT");
    return dev.child.exitCode !== null;
  });
  expect(dev.child.exitCode).toBe(130);
  // Well below the ten seconds it would have been given.
  expect(performance.now() - startedMs).toBeLessThan(8_000);
  await until("all children to end", () => !processes.some(({ process }) => isAlive(process.pid)));
}, 60_000);

test("Ctrl-C while a goal is worked on ends the command with 130, and says that the goal is cancelled", async () => {
  const project = echoProject("echo", "await task.reportProgress(0.5, 'half'); await new Promise(() => {});");
  const dev = startDev(project);
  await dev.ready();
  const child = startSoorma(["goal", "echo.goal", "{}"], { cwd: project });
  let stderr = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stderr) stderr += decoder.decode(chunk, { stream: true });
  })();
  await until("progress", () => stderr.includes("echo: 50 % half"));
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  await reading;
  expect(stderr).toContain("the goal is cancelled (plan plan-");
}, 60_000);

test("a goal that takes too long fails, and so does one whose task fails: exit code 1", async () => {
  const project = echoProject("echo", "if (task.data.fail) throw new Error('no luck'); await new Promise(() => {});");
  const dev = startDev(project);
  await dev.ready();
  const slow = await goal(project, {}, "--timeout", "1");
  expect(slow.exitCode).toBe(1);
  expect(slow.stdout).toBe("");
  const failed = await goal(project, { fail: true }, "--json");
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toBe("");
  expect(JSON.stringify(JSON.parse(failed.stderr))).toContain("no luck");
}, 60_000);

test("a goal nobody takes is told with what was perhaps meant", async () => {
  const project = echoProject();
  const dev = startDev(project);
  await dev.ready();
  const { stderr, exitCode } = await soorma(["goal", "ecko.goal"], { cwd: project });
  expect(stderr).toContain("did you mean echo.goal?");
  expect(exitCode).toBe(1);
}, 60_000);

test("a configuration names the agents and their number, and a saved one is followed", async () => {
  const project = echoProject();
  mkdirSync(join(project, "other"));
  writeFileSync(join(project, "other/w.ts"), worker("return process.env.FLAVOUR;"));
  rmSync(join(project, "src/agents/worker.ts"));
  const config = (instances: number): string => `
    import { defineConfig } from "soorma";
    export default defineConfig({ agents: {
      planner: "src/agents/planner.ts",
      worker: { entry: "other/w.ts", instances: ${instances}, env: { FLAVOUR: "salty" } },
    } });`;
  writeFileSync(join(project, "soorma.config.ts"), config(2));
  const dev = startDev(project);
  expect(await dev.ready()).toEndWith("3 agents: planner, worker-1, worker-2");
  expect(JSON.parse((await goal(project, 1)).stdout)).toEqual({ echo: "salty" });
  writeFileSync(join(project, "soorma.config.ts"), "export default { agnets: {} };");
  await dev.sees('did you mean "agents"?');
  writeFileSync(join(project, "soorma.config.ts"), config(3));
  await until("a third worker", async () =>
    (await statusOf(project)).processes.some(({ name, state }) => name === "worker-3" && state === "ready"),
  );
}, 90_000);
