import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, cleanEnv, tempFolder } from "./cli-run.ts";
import { down, enter, expectProgram, hangUp, inTerminal, interrupt, space } from "./cli-terminal.ts";

const questions = [
  ["What do you want to create?", `${down}${enter}`],
  ["Name?", `my-plan${enter}`],
  ["What does it do?", `Plans things${enter}`],
  ["What can it be asked for?", `planning, more${enter}`],
  ["What else should be in it?", `${space}${down}${down}${space}${enter}`],
  ["Which transport?", enter],
  ["Which registry?", `${down}${enter}`],
  ["Which registry plugin?", `./registry.ts${enter}`],
  ["Install the dependencies now?", `n`],
  ["Make it a git repository?", `n`],
] as const;

const defaults = ["--with", "none", "--transport", "zeromq", "--registry", "broker"];

test.if(expectProgram !== null)(
  "the wizard asks for everything and makes what was answered",
  async () => {
    using folder = tempFolder();
    const { screen, exitCode } = await inTerminal(folder.path, ["init"], questions);
    expect(screen).toContain("Create a Soorma project");
    expect(screen).toContain("planner my-plan created in my-plan");
    expect(exitCode).toBe(0);
    expect(readdirSync(folder.path)).toEqual(["my-plan"]);
    const agent = readFileSync(join(folder.path, "my-plan/src/agents/planner.ts"), "utf8");
    expect(agent).toContain('description: "Plans things"');
    expect(agent).toContain('capabilities: ["planning", "more"]');
    expect(readdirSync(join(folder.path, "my-plan")).sort()).toEqual(
      [
        ".github",
        ".gitignore",
        "README.md",
        "biome.json",
        "package.json",
        "soorma.config.ts",
        "src",
        "tsconfig.json",
      ].sort(),
    );
    expect(readFileSync(join(folder.path, "my-plan/soorma.config.ts"), "utf8")).toContain(
      '  plugins: { registry: "./registry.ts" },\n',
    );
    expect(existsSync(join(folder.path, "my-plan/src/client.ts"))).toBe(true);
  },
  60_000,
);

test.if(expectProgram !== null)(
  "the wizard of a terminal that was closed ends, and leaves nothing behind",
  async () => {
    using folder = tempFolder();
    const { exitCode } = await inTerminal(folder.path, ["init"], [["What do you want to create?", hangUp]]);
    expect(exitCode).toBe(130);
    expect(readdirSync(folder.path)).toEqual([]);
  },
  60_000,
);

test.if(expectProgram !== null)(
  "the question before a project's data is removed ends with its terminal, too, and nothing is removed",
  async () => {
    using folder = tempFolder();
    for (const path of ["src/agents", ".soorma/data"]) mkdirSync(join(folder.path, path), { recursive: true });
    writeFileSync(join(folder.path, "package.json"), "{}");
    writeFileSync(join(folder.path, "src/agents/a.ts"), "");
    const args = ["dev", "--stop", "--clean"];
    const { exitCode } = await inTerminal(folder.path, args, [["Remove all plans, memory and logs", hangUp]]);
    expect(exitCode).toBe(130);
    expect(existsSync(join(folder.path, ".soorma/data"))).toBe(true);
  },
  60_000,
);

test.if(expectProgram !== null)(
  "what is given by flags is not asked for, and enter takes the default",
  async () => {
    using folder = tempFolder();
    const args = ["init", "--type", "tool", "-d", "Counts", ...defaults, "--no-install", "--no-git"];
    const { screen, exitCode } = await inTerminal(folder.path, args, [
      ["Name?", enter],
      ["What can it be asked for?", enter],
    ]);
    expect(screen).not.toContain("What do you want");
    expect(exitCode).toBe(0);
    expect(existsSync(join(folder.path, "my-tool/package.json"))).toBe(true);
  },
  60_000,
);

test.if(expectProgram !== null)(
  "a wrong answer is explained and asked for again",
  async () => {
    using folder = tempFolder();
    const args = ["init", "--type", "tool", "-d", "Counts", "-c", "a", ...defaults, "--no-install", "--no-git"];
    const { screen, exitCode } = await inTerminal(folder.path, args, [
      ["Name?", `My Tool${enter}`],
      ["lower-case letters", `${"\\177".repeat(7)}mine${enter}`],
    ]);
    expect(screen).toContain("tool mine created in mine");
    expect(exitCode).toBe(0);
  },
  60_000,
);

/** Questions that only some answers lead to: the arguments, what is answered before, and where Ctrl-C is pressed. */
const further = [
  [["init", "--type", "plugin"], [], "What kind of plugin?"],
  [["init", "x", "--type", "plugin"], [["What kind of plugin?", `${down}${enter}`]], "What does it do?"],
  [
    ["init", "x", "--type", "team", "-d", "x", "--with", "none", "--registry", "broker"],
    [["Which transport?", `${down}${enter}`]],
    "Which transport plugin?",
  ],
  [
    ["init", "x", "--type", "team", "-d", "x", "--with", "none", "--registry", "broker", "--transport", "nats"],
    [],
    "Where does the broker listen",
  ],
] as const;

test.if(expectProgram !== null).each(questions.map(([question], index) => [question, index] as const))(
  "Ctrl-C at %j leaves nothing behind, exit code 130",
  async (question, index) => {
    using folder = tempFolder();
    const { screen, exitCode } = await inTerminal(
      folder.path,
      ["init"],
      [...questions.slice(0, index), [question, interrupt]],
    );
    expect(screen).toContain("Cancelled: nothing was created.");
    expect(screen).not.toContain("cancelled");
    expect(exitCode).toBe(130);
    expect(readdirSync(folder.path)).toEqual([]);
  },
  60_000,
);

test.if(expectProgram !== null).each(further)(
  "Ctrl-C after %j, %j at %j leaves nothing behind, exit code 130",
  async (args, steps, question) => {
    using folder = tempFolder();
    const { screen, exitCode } = await inTerminal(folder.path, args, [...steps, [question, interrupt]]);
    expect(screen).toContain("Cancelled: nothing was created.");
    expect(exitCode).toBe(130);
    expect(readdirSync(folder.path)).toEqual([]);
  },
  60_000,
);

test("without a terminal nothing is asked: the wizard's questions are usage errors", async () => {
  using folder = tempFolder();
  const child = Bun.spawn([process.execPath, bin, "init"], {
    cwd: folder.path,
    env: cleanEnv(),
    stdin: "ignore",
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toContain("--type worker|planner|tool|team|");
  expect(await child.exited).toBe(2);
});
