import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { soorma, until } from "../e2e/cli-run.ts";
import { packInto, run } from "./packed.ts";

let folder: string;
let packages: string;

/** Everything that is published, packed as it would be. */
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-templates-")));
  packages = join(folder, "packages");
  await packInto(packages);
}, 120_000);
// Thousands of files, on a machine that may be busy.
afterAll(() => rmSync(folder, { recursive: true, force: true }), 60_000);

/** As the user has it: the command of the installed package. */
const installed = "node_modules/.bin/soorma";

/** How each is tried: as its readme says. */
const cases = [
  {
    type: "worker",
    extra: ["--with", "client"],
    ask: ["goal", "my-worker-2.goal", { text: "to be or not to be" }],
    answer: { answer: { words: 6, distinct: 4, longest: "not" } },
  },
  {
    type: "planner",
    extra: ["--with", "client,vscode,ci,docker"],
    ask: ["goal", "my-planner-2.goal", { topic: "bees" }],
    answer: { report: { report: "written from history and today" } },
  },
  {
    type: "team",
    extra: [],
    ask: ["goal", "my-team-2.goal", { question: "How do bees find flowers?" }],
    answer: { answer: { sources: ["bees.md"], readingSeconds: 5 } },
  },
  {
    type: "order-processing",
    extra: ["--with", "client"],
    ask: [
      "goal",
      "my-order-processing-2.goal",
      { items: [{ sku: "cup", quantity: 2 }], card: "4242", address: "Here" },
    ],
    answer: { paid: 24, parcel: "parcel to Here" },
  },
  {
    type: "event-chain",
    extra: [],
    ask: ["order"],
    answer: { types: ["order.placed", "inventory.reserved", "payment.completed", "order.completed"], traces: 1 },
  },
  {
    type: "tool",
    extra: ["--with", "client"],
    ask: ["call", "arithmetic", "calculate", { expression: "2 * (3 + 4)" }],
    answer: { result: 14 },
  },
  {
    type: "plugin",
    extra: ["--kind", "transport", "--with", "vscode,ci"],
    ask: ["call", "greeting", "greet", { name: "you" }],
    answer: { greeting: "Hello, you!" },
  },
  {
    type: "plugin",
    extra: ["--kind", "registry"],
    ask: ["call", "greeting", "greet", { name: "you" }],
    answer: { greeting: "Hello, you!" },
  },
] as const;

test.each(cases)(
  "a generated $type installs from the packed files, type-checks, passes its tests, runs and answers",
  async ({ type, extra, ask, answer }) => {
    // Dashes and digits: every place the name goes to has to take them.
    const name = `my-${extra[0] === "--kind" ? extra[1] : type}-2`;
    const project = join(folder, name);
    // What the first one installs is what all of them would.
    const shared = join(folder, "my-worker-2/node_modules");
    const installs = type === "plugin" || !existsSync(shared);
    const made = await soorma(
      ["init", name, "--type", type, ...extra, "--packages", packages, "--json", ...(installs ? [] : ["--no-install"])],
      { cwd: folder },
    );
    expect(made.stderr).not.toContain("warning");
    expect(JSON.parse(made.stdout)).toMatchObject({ name, installed: installs ? "done" : "skipped" });
    if (!installs) symlinkSync(shared, join(project, "node_modules"));
    expect(existsSync(join(project, installed))).toBe(true);

    for (const check of ["typecheck", "lint"]) {
      expect(await run([process.execPath, "run", check], project)).toMatchObject({ code: 0 });
    }
    const tests = await run([process.execPath, "test"], project);
    expect(tests.output).toMatch(/[1-9]\d* pass\n(\s*\d+ skip\n)?\s*0 fail/);
    expect(tests.code).toBe(0);

    try {
      const dev = await run([installed, "dev", "--detach", "--json"], project);
      expect(dev).toMatchObject({ code: 0 });
      expect(await answerTo(project, ...ask)).toMatchObject(answer);
      const { scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
      if ("client" in scripts) {
        const client = await run([process.execPath, "run", "--silent", "client"], project);
        expect(client).toMatchObject({ code: 0 });
        expect(client.stdout).toContain(Object.keys(answer)[0] ?? "");
      }
      if (type === "worker") await addToRunning(project);
    } finally {
      await run([installed, "dev", "--stop"], project);
    }
    expect((await run([installed, "dev", "--status"], project)).stdout).toContain("nothing runs");
  },
  180_000,
);

/** What a goal results in or an operation answers, asked for on the command line. */
async function answerTo(project: string, ...ask: readonly (string | object)[]): Promise<unknown> {
  if (ask[0] === "order") return await eventsOfOrder(project);
  const words = ask.map((word) => (typeof word === "string" ? word : JSON.stringify(word)));
  const asked = await run([installed, ...words, "--json"], project);
  if (asked.code !== 0) throw new Error(asked.output);
  return (JSON.parse(asked.stdout) as { readonly result: unknown }).result;
}

/** What an order leads to, as the client of the event chain prints it. */
async function eventsOfOrder(project: string): Promise<{ types: string[]; traces: number }> {
  const { code, output, stdout } = await run([process.execPath, "run", "--silent", "order", "20"], project);
  if (code !== 0) throw new Error(output);
  const lines = stdout.trimEnd().split("\n");
  // Each event stands below the one that caused it.
  expect(lines.map((line) => line.search(/\S/))).toEqual(lines.map((_, index) => index * 2));
  const words = lines.map((line) => line.trim().split(/\s+/));
  return { types: words.map(([type = ""]) => type), traces: new Set(words.map(([, , trace]) => trace)).size };
}

/** What is added while `soorma dev` runs works without starting anything again. */
async function addToRunning(project: string): Promise<void> {
  for (const words of [
    ["agent", "photos", "--type", "worker"],
    ["agent", "boss", "--type", "planner"],
  ]) {
    expect(await run([installed, "add", ...words], project)).toMatchObject({ code: 0 });
  }
  const answer = await until("the added planner and worker to answer", () =>
    answerTo(project, "goal", "boss.goal", { text: "hello" }).catch(() => undefined),
  );
  expect(answer).toEqual({ first: { text: "HELLO" } });
}

test("a generated project installs at most 40 packages", async () => {
  // The other types share what these install.
  for (const name of ["my-worker-2", "my-transport-2"]) {
    const listed = await run([process.execPath, "pm", "ls", "--all"], join(folder, name));
    const packages = listed.stdout.split("\n").filter((line) => /[├└]── /.test(line));
    expect(packages.length).toBeGreaterThan(20);
    expect(packages.length).toBeLessThanOrEqual(40);
  }
});

test("the types of a generated project are checked without the sources of Soorma, and cost little", async () => {
  const { code, stdout } = await run(["node_modules/.bin/tsc", "--extendedDiagnostics"], join(folder, "my-team-2"));
  expect(code).toBe(0);
  // What TypeScript makes of generic types. It depends on nothing but the code, unlike time.
  const made = Number(/Instantiations:\s+(\d+)/.exec(stdout)?.[1]);
  expect(made).toBeGreaterThan(0);
  expect(made).toBeLessThan(150_000);
  const listed = await run(["node_modules/.bin/tsc", "--listFilesOnly"], join(folder, "my-team-2"));
  const sources = listed.stdout
    .split("\n")
    .filter((path) => path.includes("/node_modules/") && !/\.d\.[cm]?ts$/.test(path));
  expect(sources.filter((path) => path.trim() !== "")).toEqual([]);
});

test("a plugin that is packed is used by its short name in another project", async () => {
  const plugin = join(folder, "my-registry-2");
  const others = join(folder, "packages-and-plugin");
  cpSync(packages, others, { recursive: true });
  expect(await run([process.execPath, "pm", "pack", "--destination", others], plugin)).toMatchObject({ code: 0 });
  const args = ["my-user", "--type", "tool", "--registry", "my-registry-2", "--packages", others, "--yes", "--json"];
  const made = await soorma(["init", ...args], { cwd: folder });
  expect(JSON.parse(made.stdout)).toMatchObject({ installed: "done" });
  const project = join(folder, "my-user");
  try {
    expect(await run([installed, "dev", "--detach"], project)).toMatchObject({ code: 0 });
    expect(await answerTo(project, "call", "arithmetic", "calculate", { expression: "2*21" })).toEqual({ result: 42 });
    const listed = await run([installed, "plugin", "list"], project);
    expect(listed.stdout).toMatch(/registry +my-registry-2 +soorma-registry-my-registry-2 .* in use/);
  } finally {
    await run([installed, "dev", "--stop"], project);
  }
}, 120_000);

test("bun create soorma makes a project, with the arguments of soorma init", async () => {
  const home = join(folder, "home");
  mkdirSync(home);
  // Where create-soorma is installed, `bun create` asks no registry for it.
  const { overrides } = JSON.parse(readFileSync(join(folder, "my-worker-2/package.json"), "utf8"));
  const { "create-soorma": created, ...others } = overrides;
  const manifest = { dependencies: { "create-soorma": created }, overrides: others };
  writeFileSync(join(home, "package.json"), JSON.stringify(manifest));
  expect(await run([process.execPath, "install"], home)).toMatchObject({ code: 0 });
  const create = (...args: string[]) => run([process.execPath, "create", "soorma", ...args], home);
  const made = await create("my-app", "--type", "team", "--with", "ci", "--no-install", "--no-git");
  expect(made.output).toContain("team my-app created in my-app");
  expect(made.code).toBe(0);
  expect(existsSync(join(home, "my-app/.github/workflows/ci.yml"))).toBe(true);
  const wrong = await create("my-app", "--tpye", "team");
  expect(wrong.output).toContain("did you mean --type?");
  expect(wrong.code).toBe(2);
}, 60_000);
