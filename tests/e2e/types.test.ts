import { expect, test } from "bun:test";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { devProject } from "./dev-project.ts";

const root = join(import.meta.dir, "..", "..");
const { path: project, run } = devProject("papers", () => ({
  "src/contracts.ts": contracts,
  ...Object.fromEntries(Object.entries(agents).map(([name, text]) => [`src/agents/${name}.ts`, text])),
}));

/** What the agents know of themselves, to be compared with what is written of them. */
const contracts = `
import { defineEvent, defineGoal, defineTask, defineTool, Type } from "soorma";

export const research = defineGoal({
  name: "research.goal",
  description: "Answers a question.",
  input: Type.Object({ topic: Type.String({ minLength: 1, description: "What it is about" }), depth: Type.Optional(Type.Integer()) }),
  output: Type.Object({ report: Type.String() }),
});
export const countWords = defineTask({
  name: "count-words",
  version: "1.2.0",
  timeoutMs: 5_000,
  input: Type.Object({ text: Type.String() }),
  output: Type.Array(Type.Tuple([Type.String(), Type.Number()])),
});
export const everything = defineTool({
  name: "everything",
  input: Type.Object({
    union: Type.Union([Type.Literal("a"), Type.Literal(4), Type.Null(), Type.Boolean()]),
    enum: Type.Enum(["x", "y"]),
    both: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Optional(Type.Number()) })]),
    record: Type.Record(Type.String(), Type.Array(Type.Union([Type.String(), Type.Number()]))),
    keyed: Type.Record(Type.Union([Type.Literal("l"), Type.Literal("r")]), Type.Number()),
    nested: Type.Object({ "with-dash": Type.String(), deep: Type.Partial(Type.Object({ c: Type.String() })) }),
    pair: Type.Tuple([Type.String(), Type.Union([Type.Number(), Type.Null()])]),
    any: Type.Unknown(),
    never: Type.Optional(Type.Never()),
  }),
  output: Type.Cyclic({ Node: Type.Object({ id: Type.String(), children: Type.Array(Type.Ref("Node")) }) }, "Node"),
});
export const counted = defineEvent({ name: "words.counted", data: Type.Object({ words: Type.Integer() }) });
`;

const agents = {
  planner: `
import { Planner } from "soorma";
import { research } from "../contracts.ts";
const planner = new Planner({ name: "librarian" });
planner.onGoal(research, () => ({ tasks: [] }));
planner.onComplete(() => ({ report: "short" }));
await planner.run();
`,
  worker: `
import { Worker } from "soorma";
import { counted, countWords } from "../contracts.ts";
const worker = new Worker({ name: "counter", produces: [counted, "words.lost"] });
worker.onTask(countWords, () => []);
await worker.run();
`,
  tool: `
import { Tool } from "soorma";
import { everything } from "../contracts.ts";
const tool = new Tool({ name: "splitter", capabilities: ["text"] });
tool.onInvoke(everything, () => ({ id: "root", children: [{ id: "leaf", children: [] }] }));
tool.onInvoke("untyped", () => 1);
await tool.run();
`,
};

/** What a user does with it. */
const use = `
import { Client, type InputOf, type OutputOf } from "soorma";
import * as agents from "./contracts.ts";
import * as live from "./live.ts";

await using client = await Client.connect();
const run = await client.submitGoal(live.researchGoal, { topic: "bees" });
const { report } = await run.result();
const upper: string = report.toUpperCase();
const tool = await client.registry.find("text");
const node = await tool?.invoke(live.everythingTool, {
  union: "a", enum: "x", both: { a: "", b: 1 }, record: { r: ["s", 1] }, keyed: { l: 1, r: 2 },
  nested: { "with-dash": "", deep: {} }, pair: ["p", null], any: 1,
});
const leaf: string | undefined = node?.children[0]?.id;
await client.bus.publish(live.wordsCountedEvent, { words: 3 });
await client.bus.subscribe(live.wordsCountedEvent, ({ data }) => data.words.toFixed());
const anything: unknown = await client.bus.request(live.untypedTool, { whatever: 1 });
console.log(JSON.stringify({ upper, leaf, anything }));

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Inlines aliases and intersections, which are not what is compared. */
type Flat<T> = T extends (...args: never[]) => unknown ? T : T extends object ? { [K in keyof T]: Flat<T[K]> } : T;
type Both<A, B> = Same<Flat<A>, Flat<B>>;
const same: [
  Both<InputOf<typeof live.researchGoal>, InputOf<typeof agents.research>>,
  Both<OutputOf<typeof live.researchGoal>, OutputOf<typeof agents.research>>,
  Both<InputOf<typeof live.countWordsTask>, InputOf<typeof agents.countWords>>,
  Both<OutputOf<typeof live.countWordsTask>, OutputOf<typeof agents.countWords>>,
  Both<InputOf<typeof live.everythingTool>, InputOf<typeof agents.everything>>,
  Both<InputOf<typeof live.wordsCountedEvent>, InputOf<typeof agents.counted>>,
] = [true, true, true, true, true, true];
void same;
`;

const misuse = `
import { Client } from "soorma";
import * as live from "./live.ts";
await using client = await Client.connect();
await client.submitGoal(live.researchGoal, { topic: 4 });
await client.submitGoal(live.researchGoal, {});
await client.bus.publish(live.wordsCountedEvent, { words: "three" });
const { pages } = await (await client.submitGoal(live.researchGoal, { topic: "bees" })).result();
`;

test("contracts of the live mesh type what is sent to its agents, and run", async () => {
  const printed = await run("types");
  expect(printed.stderr).toBe("");
  expect(printed.stdout).toContain("  /** What it is about */\n  topic: string;\n  depth?: number;\n");
  expect(printed.stdout).toContain(
    "/**\n * Answers a question.\n * `research.goal` by librarian.\n */\nexport const researchGoal = defineGoal({",
  );
  expect(printed.stdout).toContain("export const wordsLostEvent = defineEvent({");
  const { stderr } = await run("types", "--out", "src/live.ts");
  expect(stderr).toContain("src/live.ts: 6 contracts\n");
  const live = readFileSync(join(project, "src/live.ts"), "utf8");
  expect(live).toBe(printed.stdout);
  // What differs from one start under `soorma dev` to the next is in none of it.
  expect(live).not.toContain("+dev");
  expect(live).toContain('version: "1.2.0"');

  writeFileSync(join(project, "src/use.ts"), use);
  writeFileSync(join(project, "src/misuse.ts"), misuse);
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  const options = { ...compilerOptions, types: [join(root, "node_modules/bun-types")], noUnusedLocals: false };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["src"] }));
  const tsc = Bun.spawn([process.execPath, "x", "--bun", "--no-install", "tsc", "-p", project, "--pretty", "false"], {
    cwd: root,
    stdout: "pipe",
  });
  const errors = (await tsc.stdout.text()).split("\n").filter((line) => /^\S/.test(line));
  expect(errors.map((line) => line.replace(/^.*src\//, "").replace(/: error (TS\d+): .*/, " $1"))).toEqual([
    "misuse.ts(5,25) TS2769",
    "misuse.ts(6,25) TS2769",
    "misuse.ts(7,26) TS2769",
    "misuse.ts(8,9) TS2339",
  ]);

  const used = Bun.spawn([process.execPath, "src/use.ts"], { cwd: project, stdout: "pipe", stderr: "inherit" });
  expect(JSON.parse(await used.stdout.text())).toEqual({ upper: "SHORT", leaf: "leaf", anything: 1 });
  const lint = Bun.spawn([join(root, "node_modules/.bin/biome"), "lint", "--error-on-warnings", "src/live.ts"], {
    cwd: project,
    stdout: "ignore",
    stderr: "pipe",
  });
  expect({ code: await lint.exited, text: await lint.stderr.text() }).toMatchObject({ code: 0 });
}, 60_000);

test("a file that is not what the mesh has any more is told, contract by contract", async () => {
  await run("types", "--out", "checked.ts");
  // As any file of the project: not for its owner alone.
  expect(statSync(join(project, "checked.ts")).mode & 0o777).toBe(0o666 & ~process.umask());
  const current = await run("types", "--out", "checked.ts", "--check");
  expect(current).toMatchObject({ stdout: "", exitCode: 0 });
  const again = await run("types", "--out", "checked.ts", "--json");
  expect(JSON.parse(again.stdout)).toEqual({ file: "checked.ts", changed: false, contracts: 6 });
  const path = join(project, "checked.ts");
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace("depth?: number", "depth?: string").replaceAll("wordsLost", "wordsFound"));
  const stale = await run("types", "--out", "checked.ts", "--check");
  expect(stale.exitCode).toBe(1);
  expect(stale.stderr).toContain("checked.ts is not what the mesh has:\n  ResearchGoalInput has changed\n");
  expect(stale.stderr).toContain("  wordsFoundEvent is gone\n");
  expect(stale.stderr).toContain("  wordsLostEvent is new\n");
  expect(readFileSync(path, "utf8")).not.toBe(text);
  const missing = await run("types", "--out", "nowhere.ts", "--check", "--json");
  expect(missing.exitCode).toBe(1);
  expect(JSON.parse(missing.stdout)).toMatchObject({ same: false, missing: true });
  expect(existsSync(join(project, "nowhere.ts"))).toBe(false);
  expect((await run("types", "--check")).exitCode).toBe(2);
}, 60_000);
