/**
 * Runs every example of the command reference, as it stands in cli/README.md and in each command's help, in the project of
 * reference-shop.ts with its mesh running. `plan-k3f` stands for a plan in the state the example is about.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { silentLogger } from "@soorma/core";
import { Client, connectMesh, defineTool, Tool, Type } from "soorma";
import { blocksOf, commandsOf, repository } from "../markdown.ts";
import { bin, cleanEnv, tempFolder, until } from "./cli-run.ts";
import { shopAgents } from "./reference-shop.ts";

interface Special {
  /** Default 0. */
  readonly exit?: number;
  /** It goes on until Ctrl-C, which comes when it wrote this. */
  readonly until?: RegExp;
  /** It waits for an event. Nobody is told when it listens, so they come until it ends. */
  readonly awaitsEvent?: boolean;
  /** It runs in a folder of its own, after these commands. */
  readonly alone?: readonly string[];
  /** What stands for `plan-k3f`. */
  readonly plan?: () => Promise<string>;
}

const made = (type: string): string => `soorma init shop --type ${type} --yes --no-git --no-install --dir .`;

/** Examples that need more than a running mesh, by how they begin. The longest that fits holds. */
const special: Readonly<Record<string, Special>> = {
  // Asks on a terminal; here it says what is missing.
  "soorma init    #": { alone: [], exit: 2 },
  "soorma init": { alone: [] },
  "soorma add agent": { alone: [made("worker")] },
  "soorma add task": { alone: [made("worker")] },
  "soorma add task paper_search": { alone: [made("worker"), "soorma add agent searcher --type worker"] },
  "soorma add tool": { alone: [made("tool")] },
  "soorma add tool convert --agent": { alone: [made("tool"), "soorma add agent units --type tool"] },
  "soorma add event": { alone: [made("tool")] },
  "soorma add event order.placed --agent": { alone: [made("tool"), "soorma add agent billing --type worker"] },
  "soorma dev    #": { alone: [`${made("worker")} && bun install`], until: /ready in/ },
  "soorma dev --detach": { alone: [`${made("worker")} && bun install`] },
  "soorma plans show": { plan: () => ended("research.goal") },
  "soorma plans watch": { plan: () => ended("research.goal") },
  "soorma plans cancel": { plan: () => waiting() },
  "soorma plans pause": { plan: () => waiting() },
  "soorma plans resume": { plan: async () => await paused() },
  "soorma plans answer plan-k3f    #": { plan: () => waiting(), exit: 2 },
  "soorma plans answer": { plan: () => waiting() },
  "soorma plans replay": { plan: () => ended("research.goal") },
  "soorma plans retry": { plan: () => dead() },
  "soorma plans discard": { plan: () => dead() },
  "soorma record": { until: /record/ },
  "soorma top    #": { until: /worker/ },
  "soorma logs worker --follow": { until: /ready/ },
  "soorma events tail": { until: /from now on/ },
  "soorma events tail --limit 1": { awaitsEvent: true },
};

const folder = tempFolder();
const project = join(folder.path, "shop");
const packages = join(folder.path, "packages");
const closed = join(project, "bank-closed");
const home = join(folder.path, "home");
const cacheFolder = Bun.spawnSync([process.execPath, "pm", "cache"], { cwd: repository }).stdout.toString().trim();
let client: Client;

const examples = blocksOf("cli/README.md")
  .filter(({ language, text }) => language === "sh" && text.startsWith("soorma "))
  .flatMap(commandsOf);

beforeAll(async () => {
  mkdirSync(join(project, "src/agents"), { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "shop", type: "module" }));
  writeFileSync(join(project, "src/agents/worker.ts"), shopAgents);
  writeFileSync(
    join(project, "soorma.config.ts"),
    "export default { environments: { production: { mesh: { leaseMs: 20_000 } } } };\n",
  );
  writeFileSync(join(project, "request.json"), JSON.stringify({ expression: "1+2" }));
  writeFileSync(join(project, "order.json"), JSON.stringify({ id: 7 }));
  writeFileSync(join(project, "check.ts"), "await client.registry.find('arithmetic')\n");
  // Where shells look for completions.
  for (const place of [".local/share/bash-completion/completions", ".config/fish/completions"]) {
    mkdirSync(join(home, place), { recursive: true });
  }
  mkdirSync(join(project, "docs"));
  writeFileSync(join(project, "docs/install.md"), "# Installing\n\nIt is installed with `bun install`.\n");
  symlinkSync(join(repository, "tests/node_modules"), join(project, "node_modules"));
  const command = join(folder.path, "bin", "soorma");
  mkdirSync(dirname(command));
  writeFileSync(command, `#!/bin/sh\nexec bun ${bin} "$@"\n`);
  chmodSync(command, 0o755);
  await run("soorma dev --detach", project);
  client = await Client.connect({
    mesh: connectMesh({ meshFile: join(project, ".soorma/run/mesh.json"), log: silentLogger }),
  });
  await ended("research.goal");
  for (const key of ["user:7", "user:9", "results:1"]) await client.memory.store(key, { name: "Ada" });
  for (const version of ["1.0.0", "2.0.0"]) await register(version);
}, 60_000);

/** Registers a version of the schemas that examples show and compare. */
async function register(version: string): Promise<void> {
  const mesh = connectMesh({ meshFile: join(project, ".soorma/run/mesh.json"), log: silentLogger });
  const output = Type.Object({ result: Type.Number() });
  await using tool = new Tool({ name: "old-calculator", mesh });
  tool.onInvoke(
    defineTool({ name: "calculate", version, input: Type.Object({ expression: Type.String() }), output }),
    () => ({ result: 0 }),
  );
  await tool.run();
}

afterAll(async () => {
  await client?.stop();
  await run("soorma dev --stop", project);
  folder[Symbol.dispose]();
}, 60_000);

test("there are examples", () => {
  expect(examples.length).toBeGreaterThan(40);
});

for (const example of new Set(examples)) {
  const needsJq = example.includes("| jq") && Bun.which("jq") === null;
  test.skipIf(needsJq)(example, () => check(example), 60_000);
}

test("what is said of the examples is said of examples there are", () => {
  const starts = Object.keys(special);
  expect(starts.filter((start) => !examples.some((example) => example.startsWith(start)))).toEqual([]);
});

async function check(example: string): Promise<void> {
  const [start = ""] = Object.keys(special)
    .filter((start) => example.startsWith(start))
    .sort((a, b) => b.length - a.length);
  const { alone, plan, ...ends } = special[start] ?? {};
  const line = plan && example.includes("plan-k3f") ? example.replace("plan-k3f", await plan()) : example;
  let cwd = project;
  if (alone) {
    cwd = join(folder.path, `alone-${crypto.randomUUID().slice(0, 8)}`);
    mkdirSync(cwd);
    await packed();
    for (const before of alone) await run(before, cwd);
  }
  try {
    await run(line, cwd, ends);
  } finally {
    if (alone && line.includes("--detach")) await run("soorma dev --stop", cwd);
  }
}

let packing: Promise<void> | undefined;

/** What `soorma init` installs from: packed once, when it is first needed. */
function packed(): Promise<void> {
  packing ??= run(`bun ${join(repository, "cli/scripts/pack.ts")} ${packages}`, repository);
  return packing;
}

async function run(line: string, cwd: string, ends: Omit<Special, "alone" | "plan"> = {}): Promise<void> {
  const { exit = 0, until: shown, awaitsEvent } = ends;
  const child = Bun.spawn(["/bin/bash", "-o", "pipefail", "-c", line], {
    cwd,
    env: cleanEnv({
      NO_COLOR: "1",
      HOME: home,
      // What was installed before is taken from where it is.
      BUN_INSTALL_CACHE_DIR: cacheFolder,
      SOORMA_PACKAGES: packages,
      PATH: [join(folder.path, "bin"), dirname(process.execPath), process.env.PATH].join(":"),
    }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
  });
  let output = "";
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
  };
  const ended = Promise.all([read(child.stdout), read(child.stderr), child.exited]);
  if (shown) {
    await until(`${line} to write ${shown}`, () => shown.test(output) || child.exitCode !== null);
    try {
      process.kill(-child.pid, "SIGINT");
    } catch (error) {
      // One that only looks, as there is no terminal, ends by itself.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  } else if (awaitsEvent) {
    await until(`${line} to end`, async () => {
      await client.bus.publish("order.created", { id: 7 });
      return child.exitCode !== null;
    });
  }
  await ended;
  const isEnd = shown ? child.exitCode === 0 || child.exitCode === 130 : child.exitCode === exit;
  if (!isEnd) throw new Error(`${line} ended with ${child.exitCode}:\n${output}`);
}

async function ended(goal: string): Promise<string> {
  const plan = await client.submitGoal(goal, { topic: "bees" });
  await plan.result();
  return plan.planId;
}

async function waiting(): Promise<string> {
  const { planId } = await client.submitGoal("review.goal", {});
  await until("a task that waits", async () => {
    const plan = await client.tracker.getPlan(planId);
    return plan?.tasks.some(({ name, status }) => name === "review" && status === "paused");
  });
  return planId;
}

async function paused(): Promise<string> {
  const planId = await waiting();
  await client.tracker.pausePlan(planId);
  return planId;
}

/** A plan whose payment failed for good, while the bank was closed; now it is open. */
async function dead(): Promise<string> {
  writeFileSync(closed, "");
  const plan = await client.submitGoal("order.goal", {});
  await plan.result().catch(() => {});
  rmSync(closed);
  return plan.planId;
}
