import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, soorma } from "../e2e/cli-run.ts";

const repository = join(import.meta.dir, "..", "..");
let folder: string;
let packages: string;

/** Everything that is published, packed as it would be. */
beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-templates-")));
  packages = join(folder, "packages");
  const { code, output } = await run([process.execPath, "run", "pack", packages], repository);
  if (code !== 0) throw new Error(`packing failed:\n${output}`);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(command: string[], cwd: string): Promise<{ code: number | null; output: string; stdout: string }> {
  const child = Bun.spawn(command, { cwd, env: cleanEnv(), stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code: child.exitCode, output: stdout + stderr, stdout };
}

/** As the user has it: the command of the installed package. */
const installed = "node_modules/.bin/soorma";

const cases = [
  {
    type: "worker",
    extra: ["--with", "client"],
    data: { text: "to be or not to be" },
    answer: { answer: { words: 6, distinct: 4, longest: "not" } },
  },
  {
    type: "planner",
    extra: ["--with", "client,vscode,ci,docker"],
    data: { topic: "bees" },
    answer: { report: { report: "written from history and today" } },
  },
  {
    type: "team",
    extra: [],
    data: { question: "How do bees find flowers?" },
    answer: { answer: { sources: ["bees.md"], readingSeconds: 5 } },
  },
  { type: "tool", extra: ["--with", "none"], data: undefined, answer: { result: 14 } },
  {
    type: "plugin",
    extra: ["--kind", "transport", "--with", "vscode,ci"],
    data: undefined,
    answer: { greeting: "Hello, world!" },
  },
  { type: "plugin", extra: ["--kind", "registry"], data: undefined, answer: { greeting: "Hello, world!" } },
] as const;

test.each(cases)(
  "a generated $type installs from the packed files, type-checks, passes its tests, runs and answers",
  async ({ type, extra, data, answer }) => {
    // Dashes and digits: every place the name goes to has to take them.
    const name = `my-${extra[0] === "--kind" ? extra[1] : type}-2`;
    const made = await soorma(["init", name, "--type", type, ...extra, "--packages", packages, "--json"], {
      cwd: folder,
    });
    expect(made.stderr).not.toContain("warning");
    expect(JSON.parse(made.stdout)).toMatchObject({ name, installed: "done" });
    const project = join(folder, name);
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
      if (data === undefined) {
        const asked = await run([process.execPath, "run", "--silent", "ask"], project);
        for (const [key, value] of Object.entries(answer)) {
          expect(asked.output).toContain(`${key}: ${JSON.stringify(value)}`);
        }
      } else {
        const goal = await run([installed, "goal", `${name}.goal`, JSON.stringify(data), "--json"], project);
        expect(goal).toMatchObject({ code: 0 });
        expect((JSON.parse(goal.stdout) as { result: unknown }).result).toMatchObject(answer);
        const client = await run([process.execPath, "run", "--silent", "client"], project);
        expect(client).toMatchObject({ code: 0 });
        expect(client.stdout).toContain(Object.keys(answer)[0] ?? "");
      }
    } finally {
      await run([installed, "dev", "--stop"], project);
    }
    expect((await run([installed, "dev", "--status"], project)).stdout).toContain("nothing runs");
  },
  180_000,
);

test("a generated project installs at most 40 packages", () => {
  const project = join(folder, "my-team-2", "node_modules");
  const names = readdirSync(project).flatMap((name) =>
    name.startsWith("@") ? readdirSync(join(project, name)) : name.startsWith(".") ? [] : [name],
  );
  expect(names.length).toBeGreaterThan(5);
  expect(names.length).toBeLessThanOrEqual(40);
});

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
