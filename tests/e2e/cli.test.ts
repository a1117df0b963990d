import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, cleanEnv, soorma, startSoorma, tempFolder } from "./cli-run.ts";

test("version is the answer, on stdout alone", async () => {
  using folder = tempFolder();
  const { stdout, stderr, exitCode } = await soorma(["version"], { cwd: folder.path });
  expect(stdout).toMatch(/^soorma \d+\.\d+\.\d+ \(Bun [\d.]+, \w+-\w+\)\n$/);
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  const json = await soorma(["--version", "--json"], { cwd: folder.path });
  expect(JSON.parse(json.stdout)).toMatchObject({ bun: Bun.version });
});

test("version loads nothing but itself", async () => {
  using folder = tempFolder();
  // The program counts the modules it has loaded when it ends.
  writeFileSync(
    join(folder.path, "count.ts"),
    `process.on("exit", () => process.stderr.write(Object.keys(require.cache).filter((f) => !f.endsWith("count.ts")).join("\\n")));`,
  );
  const packagesOf = async (...args: string[]): Promise<string[]> => {
    const child = Bun.spawn([process.execPath, "--preload", join(folder.path, "count.ts"), bin, ...args], {
      env: cleanEnv(),
      stdout: "ignore",
      stderr: "pipe",
    });
    return (await child.stderr.text()).split("\n").filter((file) => file.includes("node_modules"));
  };
  expect(await packagesOf("version")).toEqual([]);
  expect((await packagesOf("--help")).some((file) => file.includes("commander"))).toBe(true);
});

test("help lists every command and ends each one's with two examples", async () => {
  using folder = tempFolder();
  const { stdout, exitCode } = await soorma(["--help"], { cwd: folder.path });
  expect(exitCode).toBe(0);
  expect(stdout.split("Examples:")[1]?.match(/^ {2}soorma /gm)).toHaveLength(2);
  for (const name of ["init", "dev", "goal", "plans", "plans list", "plans replay", "version"]) {
    if (!name.includes(" ")) expect(stdout).toContain(`\n  ${name} `);
    const help = await soorma([...name.split(" "), "--help"], { cwd: folder.path });
    expect(help.exitCode).toBe(0);
    expect(help.stdout.split("Examples:")[1]?.match(/^ {2}soorma /gm)).toHaveLength(2);
  }
});

test.each([
  [["verison"], 'there is no command "verison"', "did you mean `soorma version`?"],
  [["frobnicate"], 'there is no command "frobnicate"', "the commands are init, add, dev"],
  [["init", "--tpye", "x"], 'soorma init has no option "--tpye"', "did you mean --type?"],
  [["init", "x", "--type", "wroker"], "wroker", "did you mean worker?"],
  [["dev", "--sotp"], 'soorma dev has no option "--sotp"', "did you mean --stop?"],
  [["dev", "--port", "x"], "x is no port", "soorma dev --help"],
  [["dev", "--stop", "--status"], "--stop and --status do not go together", "one of them"],
  [["goal"], "missing required argument 'type'", "soorma goal --help"],
  [["plans", "lst"], 'there is no command "plans lst"', "did you mean `soorma plans list`?"],
  [["plans", "frobnicate"], 'there is no command "plans frobnicate"', "the commands are list, show"],
  [["events", "tial"], 'there is no command "events tial"', "did you mean `soorma events tail`? Otherwise say"],
  [["memory", "serch", "bees"], 'there is no command "memory serch"', "did you mean `soorma memory search`?"],
  [["plans", "--jsno"], 'soorma plans has no option "--jsno"', "did you mean --json?"],
  [["goal", "a.goal", "-"], "the goal's data is empty: nothing came from stdin", "pass {}"],
  [["plans", "list", "--stauts", "x"], 'soorma plans list has no option "--stauts"', "did you mean --status?"],
  [["plans", "list", "--status", "complete"], "complete", "did you mean completed?"],
  [["plans", "list", "--since", "yesterday"], "yesterday is no time", "soorma plans list --help"],
  [["plans", "cancel"], "missing required argument 'plan'", "soorma plans cancel --help"],
  [["goal", "a.goal", "{topic:1}"], '"t" was not expected there (character 2 of 9)', "double quotes"],
  [["init", "x"], "what to create is missing", "--type worker|planner|tool|team|"],
  [["init", "--type", "tool"], "the project's name is missing", "soorma init my-tool --type tool"],
  [["init", "My Tool", "--type", "tool"], '"My Tool" is no project name', 'try "my-tool"'],
  [["init", "x", "--type", "team", "--with", "client"], "team takes no --with client", "it may come with vscode, ci"],
  [["init", "x", "--type", "team", "--kind", "registry"], "team takes no --kind", "--type plugin"],
  [["init", "x", "--type", "plugin", "--transport", "nats"], "plugin takes no --transport", "with itself"],
  [["init", "x", "--type", "tool", "--transport", "nats"], "where the broker listens is missing", "add --address"],
  [["init", "x", "--type", "tool", "--registry", "No Plugin"], "is no registry plugin", "a short name (nats)"],
  [
    ["init", "x", "--type", "tool", "--registry", "redis", "--address", "a"],
    "this registry needs none",
    "leave it out",
  ],
  [["init", "x", "--with", "dockre"], '"dockre" is none of client, vscode, ci, docker', "soorma init --help"],
  [["init", "x", "--type", "team", "--capabilities", "a"], "team takes no --capabilities", "src/agents"],
])("wrong usage %j is told with what would be right, exit code 2", async (args, message, hint) => {
  using folder = tempFolder();
  const { stdout, stderr, exitCode } = await soorma(args, { cwd: folder.path });
  expect(stderr).toContain(message);
  expect(stderr).toContain(hint);
  expect(stdout).toBe("");
  expect(exitCode).toBe(2);
  expect(readdirSync(folder.path)).toEqual([]);
});

test("data comes from a file or from stdin, and what is wrong in it is told with where it came from", async () => {
  using folder = tempFolder();
  writeFileSync(join(folder.path, "data.json"), "{topic:1}");
  const wrong = await soorma(["goal", "a.goal", "@data.json"], { cwd: folder.path });
  expect(wrong.stderr).toContain("the goal's data (from data.json) is not JSON");
  expect(wrong.exitCode).toBe(2);
  const missing = await soorma(["goal", "a.goal", "@dta.json"], { cwd: folder.path });
  expect(missing.stderr).toContain(`the goal's data cannot be read from ${folder.path}/dta.json: ENOENT`);
  expect(missing.exitCode).toBe(1);
  const child = Bun.spawn([process.execPath, bin, "goal", "a.goal", "-"], {
    cwd: folder.path,
    env: cleanEnv(),
    stdin: new Blob(["[1,"]),
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toContain("the goal's data (from stdin) is not JSON: it ends too early");
});

test("with --json an error is JSON, too", async () => {
  using folder = tempFolder();
  const { stderr, exitCode } = await soorma(["goal", "x.goal", "{}", "--json"], { cwd: folder.path });
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "MESH_NOT_FOUND", hint: "start one with `soorma dev`" } });
  expect(exitCode).toBe(1);
});

test("there is colour when asked for, and none when not wanted", async () => {
  using folder = tempFolder();
  const colored = await soorma(["nope"], { cwd: folder.path, env: { FORCE_COLOR: "1" } });
  expect(colored.stderr).toContain("\x1b[31merror");
  const plain = await soorma(["nope"], { cwd: folder.path, env: { FORCE_COLOR: "1", NO_COLOR: "1" } });
  expect(plain.stderr).not.toContain("\x1b[");
});

test("init makes a project by flags alone", async () => {
  using folder = tempFolder();
  const args = ["init", "my-worker", "--type", "worker", "-d", `Says "hi"`, "-c", "a,b", "--no-install", "--no-git"];
  const { stdout, exitCode } = await soorma(args, { cwd: folder.path });
  expect(exitCode).toBe(0);
  expect(stdout).toContain("worker my-worker created in my-worker");
  expect(readdirSync(folder.path)).toEqual(["my-worker"]);
  const agent = readFileSync(join(folder.path, "my-worker/src/agents/worker.ts"), "utf8");
  expect(agent).toContain(String.raw`description: "Says \"hi\""`);
  expect(agent).toContain('capabilities: ["a", "b"]');
  expect(agent.match(/worker\.onTask\(/g)).toHaveLength(2);
  expect(readdirSync(join(folder.path, "my-worker"))).not.toContain(".git");
});

test("init --dry-run lists the files and writes none", async () => {
  using folder = tempFolder();
  const { stdout, exitCode } = await soorma(["init", "x", "--type", "team", "--dry-run"], { cwd: folder.path });
  expect(exitCode).toBe(0);
  expect(stdout.trim().split("\n")).toContain("src/agents/planner.ts");
  expect(readdirSync(folder.path)).toEqual([]);
});

test("init --yes takes defaults for everything", async () => {
  using folder = tempFolder();
  const { stdout, exitCode } = await soorma(["init", "--yes", "--no-install", "--json"], { cwd: folder.path });
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ name: "my-worker", type: "worker", installed: "skipped", git: "done" });
});

test("init refuses a folder that is not empty and leaves it as it is", async () => {
  using folder = tempFolder();
  mkdirSync(join(folder.path, "x"));
  writeFileSync(join(folder.path, "x/mine"), "");
  const { stderr, exitCode } = await soorma(["init", "x", "--type", "tool", "--no-install"], { cwd: folder.path });
  expect(stderr).toContain("exists and is not empty: it has 1 entry");
  expect(exitCode).toBe(1);
  expect(readdirSync(folder.path)).toEqual(["x"]);
  expect(readdirSync(join(folder.path, "x"))).toEqual(["mine"]);
});

test("init where no folder can be made says so", async () => {
  using folder = tempFolder();
  writeFileSync(join(folder.path, "file"), "");
  const args = ["init", "x", "--type", "tool", "--no-install", "--dir", "file/x"];
  const { stderr, exitCode } = await soorma(args, { cwd: folder.path });
  expect(stderr).toContain("cannot be created in");
  expect(stderr).toMatch(/ENOTDIR|EEXIST/);
  expect(exitCode).toBe(1);
});

test("without a registry the project is there, and what is left to do is said", async () => {
  using folder = tempFolder();
  // Nobody listens on port 1.
  const env = {
    npm_config_registry: "http://127.0.0.1:1/",
    BUN_CONFIG_REGISTRY: "http://127.0.0.1:1/",
    BUN_INSTALL_CACHE_DIR: join(folder.path, "cache"),
  };
  const { stdout, stderr, exitCode } = await soorma(["init", "x", "--type", "tool"], { cwd: folder.path, env });
  expect(exitCode).toBe(0);
  expect(stderr).toContain("the package registry cannot be reached: ");
  expect(stderr).toContain("run `bun install` in it");
  expect(stdout).toContain("\n  bun install\n");
  expect(readdirSync(join(folder.path, "x"))).toContain("package.json");
}, 60_000);

test("a package that the registry does not have is named, and it is not said that there is no registry", async () => {
  using folder = tempFolder();
  const registry = Bun.serve({ port: 0, fetch: () => new Response("{}", { status: 404 }) });
  try {
    const url = registry.url.href;
    const cache = join(folder.path, "cache");
    const env = { npm_config_registry: url, BUN_CONFIG_REGISTRY: url, BUN_INSTALL_CACHE_DIR: cache };
    const { stderr, exitCode } = await soorma(["init", "x", "--type", "tool"], { cwd: folder.path, env });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/the package registry has no .*\bsoorma\b/);
    expect(stderr).toContain("no @biomejs/biome");
    expect(stderr).toContain("give --packages a folder of packed files");
    expect(stderr).not.toContain("cannot be reached");
  } finally {
    registry.stop(true);
  }
}, 60_000);

test("inside a git repository the project gets none of its own, and that is said", async () => {
  using folder = tempFolder();
  expect(Bun.spawnSync(["git", "init", "--quiet"], { cwd: folder.path }).success).toBe(true);
  const args = ["init", "x", "--type", "tool", "--no-install", "--json"];
  const { stdout, stderr, exitCode } = await soorma(args, { cwd: folder.path });
  expect(exitCode).toBe(0);
  expect(stderr).toBe(`it is in the git repository ${realpathSync(folder.path)}, so it gets none of its own\n`);
  expect(JSON.parse(stdout)).toMatchObject({ git: "skipped" });
  expect(readdirSync(join(folder.path, "x"))).not.toContain(".git");
});

test("without git the project is there, and what is left to do is said", async () => {
  using folder = tempFolder();
  const args = ["init", "x", "--type", "tool", "--no-install", "--json"];
  const { stdout, stderr, exitCode } = await soorma(args, { cwd: folder.path, env: { PATH: folder.path } });
  expect(exitCode).toBe(0);
  expect(stderr).toContain("git is not installed");
  expect(stderr).toContain("run `git init` in the project");
  expect(JSON.parse(stdout)).toMatchObject({ git: "failed" });
  expect(readdirSync(folder.path)).toEqual(["x"]);
});

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "init ended by %s while it installs leaves nothing, exit code 130",
  async (signal) => {
    using folder = tempFolder();
    using cache = tempFolder();
    // A registry that never answers.
    const asked = Promise.withResolvers<void>();
    const registry = Bun.serve({
      port: 0,
      fetch: () => {
        asked.resolve();
        return new Promise<Response>(() => {});
      },
    });
    const env = {
      npm_config_registry: registry.url.href,
      BUN_CONFIG_REGISTRY: registry.url.href,
      BUN_INSTALL_CACHE_DIR: cache.path,
    };
    const child = startSoorma(["init", "x", "--type", "tool"], { cwd: folder.path, env });
    await asked.promise;
    expect(readdirSync(folder.path)).toHaveLength(1);
    child.kill(signal);
    expect(await child.exited).toBe(130);
    expect(readdirSync(folder.path)).toEqual([]);
    await registry.stop(true);
  },
  60_000,
);

test("goal without a mesh says how to start one", async () => {
  using folder = tempFolder();
  const { stderr, exitCode } = await soorma(["goal", "x.goal"], { cwd: folder.path });
  expect(stderr).toContain("no mesh runs in");
  expect(stderr).toContain("start one with `soorma dev`");
  expect(exitCode).toBe(1);
});

test("dev outside of a project says what is missing", async () => {
  using folder = tempFolder();
  const { stderr, exitCode } = await soorma(["dev"], { cwd: folder.path });
  expect(stderr).toContain("is not in a project");
  expect(exitCode).toBe(1);
});

test("dev --status and --stop where nothing runs write nothing", async () => {
  using folder = tempFolder();
  writeFileSync(join(folder.path, "package.json"), "{}");
  const status = await soorma(["dev", "--status"], { cwd: folder.path });
  expect(status.stdout).toContain("nothing runs in");
  expect(status.exitCode).toBe(1);
  const stop = await soorma(["dev", "--stop"], { cwd: folder.path });
  expect(stop.exitCode).toBe(0);
  expect(readdirSync(folder.path)).toEqual(["package.json"]);
});

test("a configuration that throws is shown with file and line, exit code 1", async () => {
  using folder = tempFolder();
  writeFileSync(join(folder.path, "package.json"), "{}");
  writeFileSync(join(folder.path, "soorma.config.ts"), `\nthrow new Error("no luck");\n`);
  const { stderr, exitCode } = await soorma(["dev"], { cwd: folder.path });
  expect(stderr).toContain("no luck");
  expect(stderr).toMatch(/soorma\.config\.ts:2:/);
  expect(exitCode).toBe(1);
});

test("a project whose dependencies are not installed is told so", async () => {
  using folder = tempFolder();
  await soorma(["init", "x", "--type", "tool", "--no-install", "--no-git"], { cwd: folder.path });
  const { stderr, exitCode } = await soorma(["dev"], { cwd: join(folder.path, "x") });
  expect(stderr).toContain("run `bun install`");
  expect(exitCode).toBe(1);
});
