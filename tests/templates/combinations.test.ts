import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, isAlive, soorma, until } from "../e2e/cli-run.ts";
import { packInto, run } from "./packed.ts";
import { coveringPairs, pairsOf, product, type Row } from "./pairs.ts";

/** What each type may come with. */
const may: Readonly<Record<string, readonly string[]>> = {
  worker: ["client", "docker", "capabilities", "registry", "transport"],
  planner: ["client", "docker", "capabilities", "registry", "transport"],
  tool: ["client", "docker", "capabilities", "registry", "transport"],
  team: ["docker", "registry", "transport"],
  "order-processing": ["client", "docker", "registry", "transport"],
  "event-chain": ["docker", "registry", "transport"],
  "plugin transport": [],
  "plugin registry": [],
};
const offeredTypes = await typesOfHelp();
const types = Object.keys(may).filter((type) => offeredTypes.includes(type.split(" ")[0] ?? ""));

/** Everything the wizard offers, as far as it goes together. */
const offered = product({
  type: types,
  client: ["no", "yes"],
  vscode: ["no", "yes"],
  ci: ["no", "yes"],
  docker: ["no", "yes"],
  capabilities: ["no", "yes"],
  registry: ["no", "yes"],
  transport: ["no", "yes"],
  description: ["default", "hostile"],
  name: ["short", "long"],
}).filter((row) =>
  ["client", "docker", "capabilities", "registry", "transport"].every((question) => {
    return row[question] === "no" || may[row.type ?? ""]?.includes(question);
  }),
);
const rows = coveringPairs(offered);

/** One install for all of them: a folder of projects inside a project that is installed. */
let root: string;
const projects = rows.map((_, index) => `p${index}`);
const projectOf = (index: number): string => join(root, projects[index] ?? "");

beforeAll(async () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-combinations-")));
  root = join(folder, "root");
  const packages = join(folder, "packages");
  await packInto(packages);
  const made = await soorma(["init", "root", "--type", "worker", "--no-git", "--packages", packages], { cwd: folder });
  if (made.exitCode !== 0 || made.stderr.includes("warning")) throw new Error(made.stderr);
  rmSync(join(root, "src"), { recursive: true });
  // Another registry and another transport, as somebody would have written and installed them.
  for (const kind of ["registry", "transport"]) {
    const plugin = ["init", "mine", "--dir", kind, "--type", "plugin", "--kind", kind, "--no-install", "--no-git"];
    const { exitCode, stderr } = await soorma(plugin, { cwd: root });
    if (exitCode !== 0) throw new Error(stderr);
    symlinkSync(join(root, kind), join(root, "node_modules", `soorma-${kind}-mine`));
  }
  await each(rows, async (row, index) => {
    const { exitCode, stderr } = await soorma(argumentsOf(row, index), { cwd: root });
    if (exitCode !== 0) throw new Error(`${JSON.stringify(row)}: ${stderr}`);
  });
}, 120_000);
// Thousands of files, on a machine that may be busy.
afterAll(() => rmSync(join(root, ".."), { recursive: true, force: true }), 60_000);

/** The types that `soorma init` knows. */
async function typesOfHelp(): Promise<string[]> {
  const { stdout } = await soorma(["init", "--help"], { cwd: import.meta.dir });
  const [choices = ""] = /--type <type>[^(]*\(choices: [^)]*\)/.exec(stdout) ?? [];
  return [...choices.matchAll(/"([a-z-]+)"/g)].map(([, type = ""]) => type);
}

function nameOf(row: Row, index: number): string {
  return row.name === "short" ? "a" : `a-rather-long-name-of-a-project-with-digits-2-and-more-${index}`;
}

function argumentsOf(row: Row, index: number): string[] {
  const includes = ["client", "vscode", "ci", "docker"].filter((include) => row[include] === "yes");
  const [type = "", kind] = row.type?.split(" ") ?? [];
  return [
    ...["init", nameOf(row, index), "--dir", `p${index}`, "--with", includes.join(",") || "none"],
    ...["--type", type, ...(kind === undefined ? [] : ["--kind", kind])],
    ...["registry", "transport"].flatMap((kind) => (row[kind] === "yes" ? [`--${kind}`, "mine"] : [])),
    // Soorma's broker is found by its address, which another transport writes in its own form.
    ...(row.transport === "yes" && row.registry === "no" ? ["--address", `tcp://127.0.0.1:${freePort()}`] : []),
    ...(row.capabilities === "yes" ? ["--capabilities", "paper_search,Do.it-2"] : []),
    ...(row.description === "hostile" ? ["--description", 'says "hi" \\ `x` {{name}} $& */ <!-- ü'] : []),
    ...["--no-install", "--no-git"],
  ];
}

/** Two at a time. */
async function each<T>(items: readonly T[], body: (item: T, index: number) => Promise<void>): Promise<void> {
  const left = items.map((item, index) => [item, index] as const);
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) await body(...next);
  };
  await Promise.all([work(), work()]);
}

function freePort(): number {
  using server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  return server.port;
}

/** The first project of a type. */
function firstOf(type: string): string {
  return projects[rows.findIndex((row) => row.type === type)] ?? "";
}

async function check(projects: readonly string[]): Promise<void> {
  const tsconfigs = new Set(projects.map((project) => readFileSync(join(root, project, "tsconfig.json"), "utf8")));
  expect(tsconfigs.size).toBe(1);
  writeFileSync(
    join(root, "tsconfig.json"),
    JSON.stringify({ extends: "./p0/tsconfig.json", include: projects.map((project) => `${project}/**/*.ts`) }),
  );
  const typecheck = await run([process.execPath, "run", "typecheck"], root);
  expect({ code: typecheck.code, output: typecheck.output }).toEqual({ code: 0, output: "$ tsc\n" });
  await each(projects, async (project) => {
    const { code, output } = await run(
      ["../node_modules/.bin/biome", "lint", "--error-on-warnings"],
      join(root, project),
    );
    expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/Checked \d+ files/) });
  });
  // The suites of plugins wait for leases to run out: once is enough, and they are tested with their templates.
  const tested = projects.filter((project) => !existsSync(join(root, project, "example")));
  const tests = await run([process.execPath, "test", ...tested.map((project) => `./${project}/`)], root);
  expect(tests.output).toMatch(/\n\s*0 fail/);
  expect(tests.code).toBe(0);
}

test("the combinations are all pairs of what is offered", () => {
  expect(offeredTypes.filter((type) => !types.some((known) => known.split(" ")[0] === type))).toEqual([]);
  const covered = new Set(rows.flatMap(pairsOf));
  expect(offered.flatMap(pairsOf).filter((pair) => !covered.has(pair))).toEqual([]);
  expect(rows.length).toBeLessThan(40);
});

test("every combination type-checks, passes its linter and its tests", () => check(projects), 120_000);

/** What a project is asked, and a part of the answer. */
function questionOf(row: Row, name: string): { readonly words: readonly string[]; readonly says: string } {
  const client = [process.execPath, "run", "--silent", "client"];
  const goal = (data: object): readonly string[] =>
    row.client === "yes" ? client : ["soorma", "goal", `${name}.goal`, JSON.stringify(data)];
  switch (row.type) {
    case "worker":
      return { words: goal({ text: "to be or not to be" }), says: "distinct" };
    case "planner":
      return { words: goal({ topic: "bees" }), says: "written from history" };
    case "team":
      return { words: goal({ question: "How do bees find flowers?" }), says: "bees.md" };
    case "order-processing":
      return {
        words: goal({ items: [{ sku: "cup", quantity: 2 }], card: "4242", address: "Here" }),
        says: "parcel to",
      };
    case "event-chain":
      return { words: [process.execPath, "run", "--silent", "order", "20"], says: "order.completed" };
    case "tool": {
      const capability = row.capabilities === "yes" ? "paper_search" : "arithmetic";
      const call = ["soorma", "call", capability, "calculate", '{"expression":"2 * (3 + 4)"}'];
      return { words: row.client === "yes" ? client : call, says: "14" };
    }
    default:
      return { words: ["soorma", "call", "greeting", "greet", '{"name":"you"}'], says: "Hello, you!" };
  }
}

/** What `soorma dev` says when every agent runs; otherwise it says how many of them. */
const readyLine = /^ready in \d+ ms · .* · [1-9]\d* agents?: /;

test("every combination runs with bun run dev, answers, and ends with nothing left", async () => {
  const soormaBin = join(root, "node_modules/.bin/soorma");
  await each(rows, async (row, index) => {
    const project = projectOf(index);
    const dev = Bun.spawn([process.execPath, "run", "--silent", "dev"], {
      cwd: project,
      env: cleanEnv(),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const said = { stdout: "", stderr: "" };
    const read = async (name: "stdout" | "stderr"): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const chunk of dev[name]) said[name] += decoder.decode(chunk, { stream: true });
    };
    const reading = Promise.all([read("stdout"), read("stderr")]);
    let pids: number[] = [];
    try {
      await until(`${JSON.stringify(row)} to be ready`, () => said.stdout.includes("\n") || dev.exitCode !== null);
      expect({ row, ...said }).toMatchObject({ stdout: expect.stringMatching(readyLine) });
      expect({ row, ...partsOf(project) }).toEqual({ row, ...partsAskedFor(row) });
      pids = runningIn(project);
      const { words, says } = questionOf(row, nameOf(row, index));
      const [command = "", ...rest] = words;
      const { code, output } = await run([command === "soorma" ? soormaBin : command, ...rest], project);
      expect({ row, code, output }).toEqual({ row, code: 0, output: expect.stringContaining(says) });
    } finally {
      dev.kill("SIGTERM");
      await dev.exited;
    }
    await reading;
    expect({ row, code: dev.exitCode, ...said }).toMatchObject({ code: 0 });
    for (const line of said.stderr.trimEnd().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
    expect({ row, left: pids.filter(isAlive), runs: existsSync(join(project, runFile)) }).toEqual({
      row,
      left: [],
      runs: false,
    });
  });
}, 240_000);

const runFile = ".soorma/run/supervisor.json";

/** The processes of the mesh that runs in a project: broker, state node, agents and those that stand by. */
function runningIn(project: string): number[] {
  const {
    supervisor,
    processes,
    standbys = [],
  } = JSON.parse(readFileSync(join(project, runFile), "utf8")) as {
    supervisor: { pid: number };
    processes: { process?: { pid: number } }[];
    standbys?: { pid: number }[];
  };
  return [supervisor, ...processes.flatMap(({ process }) => process ?? []), ...standbys].map(({ pid }) => pid);
}

interface Parts {
  readonly transport: string;
  readonly registry: string;
}

/** What the mesh that runs in a project is made of. */
function partsOf(project: string): Parts {
  const { transport, registry } = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8"));
  return { transport: transport.name, registry: registry.name };
}

function partsAskedFor({ type, transport, registry }: Row): Parts {
  // The project of a plugin tries itself.
  const own = (kind: string, otherwise: string): string => (type === `plugin ${kind}` ? "./src/index.ts" : otherwise);
  return {
    transport: transport === "yes" ? "mine" : own("transport", "zeromq"),
    registry: registry === "yes" ? "mine" : own("registry", "broker"),
  };
}

test("what was asked for is there, and nothing else", () => {
  const files = {
    client: "src/client.ts",
    vscode: ".vscode/launch.json",
    ci: ".github/workflows/ci.yml",
    docker: "Dockerfile",
  };
  for (const [index, row] of rows.entries()) {
    for (const [include, file] of Object.entries(files)) {
      const wanted = row[include] === "yes" || (include === "client" && row.type === "team");
      expect({ row, file, there: existsSync(join(projectOf(index), file)) }).toEqual({ row, file, there: wanted });
    }
    const scripts = JSON.parse(readFileSync(join(projectOf(index), "package.json"), "utf8")).scripts;
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["dev", "test", "typecheck", "lint"]));
  }
});

test("what a user will own can be read in two minutes", () => {
  for (const type of types) {
    const words = readdirSync(join(root, firstOf(type), "src"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8"))
      .join("\n")
      .split("\n")
      .filter((line) => line.trim() !== "");
    const most = type.startsWith("plugin") ? 280 : 200;
    expect({ type, lines: words.length, fits: words.length <= most }).toEqual({
      type,
      lines: words.length,
      fits: true,
    });
  }
});

test("agents, tasks, operations and events are added to a project of every type, and all of it still passes", async () => {
  await each(types, async (type) => {
    const project = join(root, firstOf(type));
    const additions = [
      ["agent", "photos", "--type", "worker", "--capabilities", "resize,rotate"],
      ["agent", "units", "--type", "tool"],
      ["agent", "boss", "--type", "planner"],
      ["task", "paperSearch.v2", "--agent", "photos"],
      ["tool", "delete", "--agent", "units"],
    ];
    for (const addition of additions) {
      const { exitCode, stderr } = await soorma(["add", ...addition], { cwd: project });
      expect({ addition, exitCode, stderr }).toEqual({ addition, exitCode: 0, stderr: "" });
    }
    if (type.startsWith("plugin")) return;
    // Every agent of the template can be given something, too.
    for (const [index, file] of readdirSync(join(project, "src/agents")).sort().entries()) {
      const { exitCode, stderr } = await soorma(
        ["add", "event", `order.no${index}`, "--agent", file.replace(".ts", "")],
        {
          cwd: project,
        },
      );
      expect({ file, exitCode, stderr }).toEqual({ file, exitCode: 0, stderr: "" });
      expect(readFileSync(join(project, "src/agents", file), "utf8")).toContain(`.onEvent(orderNo${index}, `);
    }
  });
  await check(types.map(firstOf));
}, 180_000);
