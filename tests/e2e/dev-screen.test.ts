import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { soorma, tempFolder, until } from "./cli-run.ts";
import { openTerminal, type Terminal, tmuxProgram } from "./tmux.ts";

const repository = join(import.meta.dir, "..", "..");
let folder: ReturnType<typeof tempFolder>;
let project: string;
const open: Terminal[] = [];

beforeEach(() => {
  folder = tempFolder();
  project = join(folder.path, "echo");
  mkdirSync(join(project, "src/agents"), { recursive: true });
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(repository, "cli"), join(project, "node_modules/soorma"));
  symlinkSync(join(repository, "node_modules/typescript"), join(project, "node_modules/typescript"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "echo", type: "module" }));
  writeFileSync(
    join(project, "src/agents/planner.ts"),
    `import { Planner } from "soorma";
const planner = new Planner({ name: "echo-planner" });
planner.onGoal("echo.goal", (goal) => ({ tasks: [{ name: "echo", assignedTo: "echo", data: goal.data }] }));
await planner.run();`,
  );
  writeWorker(`console.log("got", task.data); while (task.data.wait && !(await Bun.file("word").exists())) await Bun.sleep(5);
  if (task.data.fail) throw new TypeError("no luck");`);
});
afterEach(async () => {
  for (const terminal of open.splice(0)) await terminal[Symbol.asyncDispose]();
  await soorma(["dev", "--stop"], { cwd: project });
  folder[Symbol.dispose]();
}, 60_000);

function writeWorker(body: string): void {
  writeFileSync(
    join(project, "src/agents/worker.ts"),
    `import { Worker } from "soorma";
const worker = new Worker({ name: "echo-worker" });
worker.onTask("echo", async (task) => {
  ${body}
  return task.data;
});
await worker.run();`,
  );
}

async function dev(...args: string[]): Promise<Terminal> {
  const terminal = await openTerminal(project, ["dev", ...args]);
  open.push(terminal);
  return terminal;
}

/** What changes from run to run, left out. */
function plain(lines: readonly string[]): string[] {
  return lines.map((line) =>
    line
      .replace(/\d\d:\d\d:\d\d/, "TIME")
      .replace(/(trace|agentId|taskId)=\S+/g, "$1=ID")
      .replace(/ready in \d+ ms · broker ipc:\S+ · state zeromq:\S+ · /, "ready in N ms · ADDRESSES · ")
      .replace(/\d+ ms/, "N ms")
      .replace(/[\d.]+ events/, "N events"),
  );
}

function goal(data: unknown) {
  return soorma(["goal", "echo.goal", JSON.stringify(data)], { cwd: project });
}

test.if(tmuxProgram !== null)(
  "the dev screen: a log with names, traces and the user's frames first, below it a line of status, and keys",
  async () => {
    const terminal = await dev("--instances", "worker=2", "--no-types");
    await terminal.sees("ready in");
    const first = plain(await terminal.sees("? help"));
    expect([...first.slice(0, 3).sort(), ...first.slice(3)]).toEqual([
      "planner  │ TIME agent.ready agentId=ID kind=planner",
      "worker-1 │ TIME agent.ready agentId=ID kind=worker",
      "worker-2 │ TIME agent.ready agentId=ID kind=worker",
      "ready in N ms · ADDRESSES · 3 agents: planner, worker-1, worker-2",
      "● 2 agents · 3 instances · 0 tasks running · N events/s · ? help",
    ]);

    const waiting = goal({ wait: true });
    await terminal.sees("1 task running");
    writeFileSync(join(project, "word"), "");
    expect((await waiting).exitCode).toBe(0);
    await terminal.sees("0 tasks running");
    await terminal.sees(/^worker-[12] │ \d\d:\d\d:\d\d got \{ wait: true \} trace=\S+$/);

    await terminal.press("?");
    await terminal.sees("r restart   l filter logs   p plans   g send the last goal again   ? help   q quit");
    await terminal.press("?", "p");
    await terminal.sees(/^PLAN +STATUS +GOAL +TASKS/);
    await terminal.press("g");
    await terminal.sees('— goal echo.goal {"wait":true} again —');
    await terminal.sees("✓ echo by echo-worker");

    expect((await goal({ fail: true })).exitCode).toBe(1);
    const failed = await terminal.sees("TypeError: no luck");
    const at = failed.findIndex((line) => line.includes("TypeError: no luck"));
    expect(failed[at + 1]).toMatch(/^worker-[12] │ +at .*\(src\/agents\/worker\.ts:5:/);
    expect(failed[at + 2]).not.toContain("src/agents/");

    await terminal.press("l");
    await terminal.sees("show only (agent, level or text; enter: everything):");
    await terminal.type("planner");
    await terminal.press("Enter");
    await terminal.sees("only planner · ? help");
    await terminal.press("r");
    await terminal.sees("— restarting planner —");
    const again = plain(await terminal.sees("reloaded src/agents/planner.ts"));
    expect(again.at(-1)).toBe("● 2 agents · 3 instances · 0 tasks running · N events/s · only planner · ? help");

    await terminal.resize(40, 20);
    await terminal.press("l", "Enter");
    await terminal.sees("showing everything");
    await until(
      "a line that fits",
      async () => (await terminal.screen()).at(-1) === "● 2 agents · 3 instances · ? help",
    );
    await terminal.press("q");
    expect(await terminal.ended()).toBe(0);
    expect((await terminal.screen()).join("\n")).not.toContain("●");
    expect(existsRun()).toBe(false);
  },
  90_000,
);

function existsRun(): boolean {
  try {
    return readFileSync(join(project, ".soorma/run/supervisor.json"), "utf8") !== "";
  } catch {
    return false;
  }
}

test.if(tmuxProgram !== null)(
  "a syntax error and a type error are on the screen with their line, and the old version answers",
  async () => {
    const options = {
      module: "Preserve",
      noEmit: true,
      strict: true,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
    };
    // Only what the test is about: soorma's own sources are no part of the project.
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({ compilerOptions: { ...options, types: [] }, files: ["src/agents/plain.ts"] }),
    );
    const file = join(project, "src/agents/plain.ts");
    const version = (text: string): string =>
      `const text: string = ${text};\nconst { Tool } = require("soorma");\nconst tool = new Tool({ name: "plain" });
tool.onInvoke("say", () => text);\nawait tool.run();\ndeclare function require(name: string): any;\nexport {};\n`;
    writeFileSync(file, version('"one"'));
    const terminal = await dev("--only", "plain");
    await terminal.sees("1 agent · 1 instance");
    writeFileSync(file, version('"two'));
    const syntax = await terminal.sees("the old one keeps running");
    expect(syntax.join("\n")).toMatch(
      /plain +│ +at src\/agents\/plain\.ts:1:\d+\n.*1 \| const text: string = "two;\n.*\^/,
    );
    writeFileSync(file, version("2"));
    await terminal.sees(/^plain +│ TS2322/);
    const types = await terminal.sees("1 | const text: string = 2;");
    expect(types.some((line) => line.includes("reloaded"))).toBe(false);
    writeFileSync(file, version('"three"'));
    await terminal.sees("reloaded src/agents/plain.ts");
    await terminal.press("C-c");
    expect(await terminal.ended()).toBe(0);
  },
  90_000,
);

/** As `ps` tells it; empty when there is no such process. Z: it has ended. */
function stateOf(pid: number): string {
  return Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
}

test.if(tmuxProgram !== null)(
  "Ctrl-C twice ends at once; after SIGKILL nothing is left, and dev starts again in the same place",
  async () => {
    writeFileSync(
      join(project, "src/agents/stubborn.ts"),
      `import { Tool } from "soorma";
await new Tool({ name: "stubborn" }).run();
process.removeAllListeners("SIGTERM");
process.on("SIGTERM", () => console.log("not me"));`,
    );
    const first = await dev();
    await first.sees("3 agents · 3 instances");
    await first.press("C-c");
    await first.sees("stopping; Ctrl-C again to stop at once");
    await first.sees("not me");
    const startedMs = performance.now();
    await first.press("C-c");
    expect(await first.ended()).toBe(130);
    expect(performance.now() - startedMs).toBeLessThan(8_000);

    const second = await dev();
    await second.sees("3 agents · 3 instances");
    const state = JSON.parse(readFileSync(join(project, ".soorma/run/supervisor.json"), "utf8")) as {
      supervisor: { pid: number };
      processes: { process: { pid: number } }[];
    };
    process.kill(state.supervisor.pid, "SIGKILL");
    expect(await second.ended()).toBe(137);
    const third = await dev();
    await third.sees("did not end in order: cleaning up after it");
    await third.sees("3 agents · 3 instances");
    expect(state.processes.map(({ process: child }) => stateOf(child.pid)).filter((of) => /^[^Z]/.test(of))).toEqual(
      [],
    );
  },
  120_000,
);
