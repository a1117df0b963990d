import { beforeAll, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, cleanEnv, soorma, tempFolder, until } from "./cli-run.ts";
import { expectProgram } from "./cli-terminal.ts";
import { devProject } from "./dev-project.ts";

const {
  folder,
  path: project,
  run: inProject,
} = devProject("tabs", () => ({
  "soorma.config.ts": "export default { environments: { staging: {} } };",
  "src/agents/planner.ts": `import { Planner } from "soorma";
const planner = new Planner({ name: "tab-planner", description: "Plans: nothing" });
planner.onGoal("tab.goal", () => ({ tasks: [] }));
await planner.run();`,
}));
let planId = "";

beforeAll(async () => {
  // As an installed one is called: by its name on the PATH.
  mkdirSync(join(project, "node_modules/.bin"));
  symlinkSync(bin, join(project, "node_modules/.bin/soorma"));
  await inProject("goal", "tab.goal");
  await inProject("memory", "set", "user:42:prefs", "{}");
  const { stdout } = await inProject("plans", "list", "--json");
  planId = (JSON.parse(stdout) as { planId: string }[])[0]?.planId ?? "";
  for (const shell of ["bash", "zsh", "fish"]) {
    writeFileSync(join(folder, `soorma.${shell}`), (await inProject("completions", shell)).stdout);
  }
}, 60_000);

async function run(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd: project,
    env: cleanEnv({
      PATH: `${join(project, "node_modules/.bin")}:${process.env.PATH}`,
      TERM: "xterm",
      HOME: folder,
    }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return stdout + stderr;
}

/**
 * Types into a shell; each step has to show its text before the next. Asks with Tab, and takes the line back with Ctrl-U. On a
 * busy machine names of the mesh may come too late, which a person answers with another Tab.
 */
async function type(
  shell: readonly string[],
  setUp: string,
  steps: readonly (readonly [string, string])[],
): Promise<string> {
  const script = [
    "set timeout 40",
    'set stty_init "rows 40 columns 120"',
    `spawn -noecho ${shell.join(" ")}`,
    // The prompt is written in two parts, so that what is typed is not taken for it.
    `send -- "PS1='rea''dy> '; ${setUp}\\r"`,
    "expect {\nready>\\  {}\ntimeout { puts NO-PROMPT; exit 99 }\n}",
    "set timeout 5",
    ...steps.flatMap(([keys, sees]) => [
      `set tries 0; send -- "${keys}\\t"`,
      `expect {\n-ex "${sees}" {}\ntimeout {\nif {[incr tries] > 5} { puts "NOT SEEN: ${sees}"; exit 99 }\nsend -- "\\t"; exp_continue\n}\n}`,
      'send -- "\\025"',
    ]),
    'send -- "exit\\r"',
    "expect eof",
    "puts ALL-SEEN",
  ].join("\n");
  const file = join(folder, `${shell[0]}.exp`);
  writeFileSync(file, script);
  return await run([expectProgram ?? "expect", "-f", file]);
}

/** What each shell is asked with the Tab key, and what it then writes. */
const asked = (): readonly (readonly [string, string])[] => [
  ["soorma comp", "letions"],
  ["soorma plans show ", planId],
  ["soorma plans list --planner ", "tab-planner"],
  ["soorma goal ", "tab.goal"],
  ["soorma dev --env=", "staging"],
  ["soorma memory get user:42:", "user:42:prefs"],
  ["soorma doctor --dir no", "de_modules"],
];

test.skipIf(expectProgram === null)(
  "bash completes commands, live names and folders at the Tab key",
  async () => {
    const screen = await type(["bash", "--norc", "--noprofile", "-i"], `source ${folder}/soorma.bash`, asked());
    expect(screen).toContain("ALL-SEEN");
  },
  120_000,
);

const zsh = Bun.which("zsh");
test.skipIf(expectProgram === null || zsh === null)(
  "zsh completes the same",
  async () => {
    const setUp = `autoload -Uz compinit; compinit -u -d ${folder}/zcompdump; source ${folder}/soorma.zsh`;
    expect(await type(["zsh", "-f", "-i"], setUp, asked())).toContain("ALL-SEEN");
  },
  120_000,
);

const fish = Bun.which("fish");
test.skipIf(fish === null)(
  "fish completes the same, with descriptions",
  async () => {
    const described = [
      /^completions\tprint a script/m,
      new RegExp(`^${planId}\ttab\\.goal, completed, .* ago$`, "m"),
      /^tab-planner\tPlans: nothing$/m,
      /^tab\.goal\ttab-planner$/m,
      /^--env=staging$/m,
      /^user:42:prefs$/m,
      /^node_modules\//m,
    ];
    for (const [index, [line]] of asked().entries()) {
      const script = `source ${folder}/soorma.fish\ncomplete -C "${line}"`;
      await until(`fish to complete ${line}`, async () =>
        described[index]?.test(await run(["fish", "--no-config", "-c", script])),
      );
    }
  },
  120_000,
);

test("where nothing runs there is nothing live to offer, and nothing is said", async () => {
  const elsewhere = tempFolder();
  try {
    const { stdout, stderr, exitCode } = await soorma(["complete", "--", "plans", "show", ""], { cwd: elsewhere.path });
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "", stderr: "", exitCode: 0 });
  } finally {
    elsewhere[Symbol.dispose]();
  }
});

test("a shell without completions is refused with those there are", async () => {
  const { stderr, exitCode } = await soorma(["completions", "fihs"], { cwd: project });
  expect(exitCode).toBe(2);
  expect(stderr).toContain("did you mean fish?");
});
