import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { soorma, tempFolder } from "./cli-run.ts";
import { down, enter, expectProgram, inTerminal, interrupt } from "./cli-terminal.ts";

/** A project that uses soorma, with these files. */
function project(files: Readonly<Record<string, string>>): ReturnType<typeof tempFolder> {
  const folder = tempFolder();
  const all = { "package.json": `{"dependencies":{"soorma":"0.1.0"}}`, ...files };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(join(folder.path, path, ".."), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  return folder;
}

function worker(name: string, capabilities = "[]"): string {
  return `import { Worker } from "soorma";\nconst worker = new Worker({ name: "${name}", capabilities: ${capabilities} });\nawait worker.run();\n`;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

test("a task goes to the only worker; what is there already is not overwritten", async () => {
  using folder = project({ "src/agents/photos.ts": worker("p") });
  const { stdout, exitCode } = await soorma(["add", "task", "resize", "--json"], { cwd: join(folder.path, "src") });
  expect(JSON.parse(stdout)).toEqual({
    created: ["src/tasks/resize.ts", "src/tasks/resize.test.ts"],
    changed: ["src/agents/photos.ts"],
  });
  expect(exitCode).toBe(0);
  const agent = readFileSync(join(folder.path, "src/agents/photos.ts"), "utf8");
  expect(agent).toContain(`import { resize, runResize } from "../tasks/resize.ts";`);
  expect(agent).toContain("worker.onTask(resize, (task) => runResize(task.data));");

  rmSync(join(folder.path, "src/tasks/resize.ts"));
  const before = filesIn(folder.path);
  const again = await soorma(["add", "task", "resize"], { cwd: folder.path });
  expect(again.stderr).toContain("src/tasks/resize.test.ts exists already; nothing was changed");
  expect(again.exitCode).toBe(1);
  expect(filesIn(folder.path)).toEqual(before);
  expect(readFileSync(join(folder.path, "src/agents/photos.ts"), "utf8")).toBe(agent);
});

test("--dry-run lists the files and changes nothing", async () => {
  using folder = project({ "src/agents/photos.ts": worker("p") });
  const { stdout } = await soorma(["add", "event", "order.placed", "--dry-run"], { cwd: folder.path });
  expect(stdout).toBe(
    "created  src/events/order-placed.ts\ncreated  src/events/order-placed.test.ts\nchanged  src/agents/photos.ts\n",
  );
  expect(filesIn(folder.path)).toEqual(["package.json", "src/agents/photos.ts"]);
});

test.each([
  [["task", "a", "--agent", "nobody"], "the project has no agent nobody", "choose one of photos, videos", 2],
  [["task", "a"], "which agent gets the task is missing", "--agent photos|videos", 2],
  [["tool", "a"], "no tool that a tool could go to", "soorma add agent <name> --type tool", 1],
  [["tool", "a", "--agent", "photos"], "photos is a worker", "soorma add agent <name> --type tool", 2],
  [["task", "a b"], `"a b" is no name of a task`, "paper_search", 2],
  [["agent", "photos", "--type", "tool"], "has an agent called photos already", "another name", 2],
  [["agent", "x"], "the kind of agent is missing", "--type worker|planner|tool", 2],
  [["agent", "X Y", "--type", "tool"], "is no project name", `try "x-y"`, 2],
  [
    ["agent", "x", "-t", "worker", "-c", "a_b,a.b"],
    "two capabilities would be in src/tasks/a-b.ts",
    "leave one out of --capabilities",
    2,
  ],
  [["agnet", "x"], "there is no command", "did you mean `soorma add agent`", 2],
] as const)("add %j changes nothing and says what would be right", async (args, message, hint, code) => {
  using folder = project({ "src/agents/photos.ts": worker("p"), "src/agents/videos.ts": worker("v") });
  const before = filesIn(folder.path);
  const { stderr, exitCode } = await soorma(["add", ...args], { cwd: folder.path });
  expect(stderr).toContain(message);
  expect(stderr).toContain(hint);
  expect(exitCode).toBe(code);
  expect(filesIn(folder.path)).toEqual(before);
});

test("when a file cannot be written, nothing of what was to be added is left", async () => {
  // A file where a folder has to be.
  using folder = project({ "src/tasks": "" });
  const { stdout, stderr, exitCode } = await soorma(["add", "agent", "x", "--type", "worker"], { cwd: folder.path });
  expect(stderr).toContain("src/tasks/x.ts cannot be written: a file is in the way");
  expect(stderr).toContain("nothing was changed");
  expect([stdout, exitCode]).toEqual(["", 1]);
  expect(filesIn(folder.path)).toEqual(["package.json", "src/tasks"]);
  expect(existsSync(join(folder.path, "src/agents"))).toBe(false);
});

test("outside of a project of soorma nothing is added", async () => {
  using folder = project({ "package.json": "{}" });
  const { stderr, exitCode } = await soorma(["add", "agent", "x", "--type", "tool"], { cwd: folder.path });
  expect(stderr).toContain("does not depend on soorma");
  expect(exitCode).toBe(1);
  expect(filesIn(folder.path)).toEqual(["package.json"]);
});

test("what cannot be wired safely is left as it is, and the lines to add are said", async () => {
  const source = `import { Worker } from "soorma";\n\nfor (const name of ["a", "b"]) await new Worker({ name }).run();\n`;
  using folder = project({ "src/agents/photos.ts": source });
  const { stdout, stderr, exitCode } = await soorma(["add", "task", "resize"], { cwd: folder.path });
  expect(exitCode).toBe(1);
  expect(stdout).toBe("created  src/tasks/resize.ts\ncreated  src/tasks/resize.test.ts\n");
  expect(stderr).toContain("src/agents/photos.ts was left as it is: no `new Worker(…)`");
  expect(stderr).toContain(`  import { resize, runResize } from "../tasks/resize.ts";`);
  expect(stderr).toContain("  worker.onTask(resize, (task) => runResize(task.data));");
  expect(readFileSync(join(folder.path, "src/agents/photos.ts"), "utf8")).toBe(source);
  expect(filesIn(folder.path)).toContain("src/tasks/resize.ts");
});

test("an agent is listed where the configuration lists agents, and found by the name it has there", async () => {
  using folder = project({
    "soorma.config.ts": `export default {\n  agents: { pictures: { entry: "lib/p.ts", instances: 2 } },\n};\n`,
    "lib/p.ts": worker("p"),
  });
  const { stdout } = await soorma(["add", "agent", "my-tool", "--type", "tool", "--json"], { cwd: folder.path });
  expect(JSON.parse(stdout)).toEqual({
    created: ["src/agents/my-tool.ts", "src/tools/my-tool.ts", "src/tools/my-tool.test.ts"],
    changed: ["soorma.config.ts"],
  });
  expect(readFileSync(join(folder.path, "soorma.config.ts"), "utf8")).toContain(
    `instances: 2 }, "my-tool": "src/agents/my-tool.ts" }`,
  );
  const task = await soorma(["add", "task", "resize", "--agent", "pictures"], { cwd: folder.path });
  expect(task.stdout).toContain("changed  lib/p.ts");
  expect(readFileSync(join(folder.path, "lib/p.ts"), "utf8")).toContain(`from "../src/tasks/resize.ts"`);
});

test("the only agent of a project goes on running when a second one is added", async () => {
  using folder = project({ "agent.ts": worker("p") });
  const { stdout } = await soorma(["add", "agent", "units", "--type", "tool"], { cwd: folder.path });
  expect(stdout).toContain("created  soorma.config.ts");
  const config = readFileSync(join(folder.path, "soorma.config.ts"), "utf8");
  expect(config).toContain(`agent: "agent.ts",\n    units: "src/agents/units.ts",`);
});

test("an agent that one module makes and another runs gets its handler where it is made", async () => {
  using folder = project({
    "src/photos.ts": `import { Worker } from "soorma";\n\nexport const worker = new Worker({ name: "p" });\n`,
    "src/agents/photos.ts": `import { worker } from "../photos.ts";\n\nawait worker.run();\n`,
  });
  const { stdout } = await soorma(["add", "task", "resize"], { cwd: folder.path });
  expect(stdout).toContain("changed  src/photos.ts");
  expect(readFileSync(join(folder.path, "src/photos.ts"), "utf8")).toEndWith(
    `name: "p" });\n\nworker.onTask(resize, (task) => runResize(task.data));\n`,
  );
});

test.if(expectProgram !== null)(
  "on a terminal what is missing is asked for, and Ctrl-C changes nothing",
  async () => {
    using folder = project({ "src/agents/photos.ts": worker("p"), "src/agents/videos.ts": worker("v") });
    const before = filesIn(folder.path);
    for (const [args, steps] of [
      [["task", "a"], [["Which agent gets it?", interrupt]]],
      [["agent"], [["What kind of agent?", interrupt]]],
      [
        ["agent"],
        [
          ["What kind of agent?", enter],
          ["Name?", interrupt],
        ],
      ],
    ] as const) {
      const { screen, exitCode } = await inTerminal(folder.path, ["add", ...args], steps);
      expect(screen).toContain("Cancelled: nothing was changed.");
      expect(exitCode).toBe(130);
      expect(filesIn(folder.path)).toEqual(before);
    }
    const task = await inTerminal(folder.path, ["add", "task", "a"], [["Which agent gets it?", `${down}${enter}`]]);
    expect(task.screen).toContain("changed  src/agents/videos.ts");
    const agent = await inTerminal(
      folder.path,
      ["add", "agent"],
      [
        ["What kind of agent?", `${down}${enter}`],
        ["Name?", `boss${enter}`],
      ],
    );
    expect(agent.screen).toContain("created  src/goals/boss-goal.ts");
    expect(agent.exitCode).toBe(0);
  },
  60_000,
);
