import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { blocksOf, documentationPages, repository } from "./markdown.ts";

const root = repository;
const pages = documentationPages();
const blocks = pages.flatMap((page) => blocksOf(page));
const shellLines = blocks
  // Those of a template are about the project made of it: readmes.test.ts runs them there.
  .filter((block) => block.language === "sh" && !block.page.startsWith("templates/"))
  .flatMap(({ page, line, text }) =>
    text.split("\n").map((command, index) => ({ page, line: line + index, command: command.trim() })),
  )
  .filter(({ command }) => command !== "" && !command.startsWith("#"));

let folder = "";
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-docs-")));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("every block of TypeScript in the readmes type-checks", async () => {
  symlinkSync(join(root, "tests/node_modules"), join(folder, "node_modules"));
  const { compilerOptions } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8"));
  const types = [join(root, "node_modules/bun-types")];
  // A block need not use all it shows.
  const options = { ...compilerOptions, types, noUnusedLocals: false, noUnusedParameters: false };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["**/*.ts"] }));
  const written = blocks.filter((block) => block.language === "ts");
  expect(written.length).toBeGreaterThan(5);
  for (const { page, line, text } of written) {
    const file = join(folder, page, `line-${line}.ts`);
    mkdirSync(dirname(file), { recursive: true });
    const isInside = page.includes("/src/");
    // What a page inside a package imports is beside it.
    const code = isInside ? text.replaceAll('from "./', `from "${join(root, dirname(page))}/`) : text;
    writeFileSync(file, `${code}\nexport {};\n`);
    // Where a block is about a plugin of the reader's own, this is it.
    if (!isInside)
      writeFileSync(join(dirname(file), "index.ts"), 'export { default } from "@soorma/transport-inproc";\n');
  }
  const { code, output } = await run(["bun", "x", "--bun", "--no-install", "tsc", "-p", folder]);
  expect(output.replaceAll(`${folder}/`, "")).toBe("");
  expect(code).toBe(0);
}, 60_000);

test.each(shellLines.map(({ page, line, command }) => [`${page}:${line}`, command]))(
  "%s: `%s` is a command that exists, with its options",
  async (_place, line) => {
    for (const command of line.replace(/\s+#\s.*$/, "").split(/\s+(?:&&|\|)\s+/)) await checkCommand(command.trim());
  },
);

test("every package and every template has a readme", () => {
  const rooms = ["core", "broker", "cli", ...foldersIn("plugins"), ...foldersIn("templates")];
  // Parts of projects, and not what one is made of.
  const parts = ["templates/shared", "templates/with", "templates/plugin"];
  const missing = rooms.filter((room) => !parts.includes(room) && !pages.includes(join(room, "README.md")));
  expect(missing).toEqual([]);
});

test("every relative link leads to a file", () => {
  const broken = pages.flatMap((page) =>
    [...readFileSync(join(root, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)/g)].flatMap(([, target = ""]) =>
      Bun.spawnSync(["test", "-e", join(root, dirname(page), target)]).success ? [] : [`${page}: ${target}`],
    ),
  );
  expect(broken).toEqual([]);
});

test("the readme's first screen has what it does, its status, code, both ways to start it, and what comes out", () => {
  const screen = readFileSync(join(root, "README.md"), "utf8").split("\n").slice(0, 30).join("\n");
  for (const part of ["# Soorma", "Status: 0.1", "bun run demo", "bun run test", "```ts", "$ bun run demo"]) {
    expect(screen).toContain(part);
  }
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(screen).toContain(`npx --yes ${packageManager} run demo`);
  expect(screen).toContain(`npx --yes ${packageManager} run test`);
});

test("every guarantee names tests there are, by file and title", () => {
  const page = readFileSync(join(root, "core/GUARANTEES.md"), "utf8");
  const named = [...page.matchAll(/`([\w/.-]+\.test\.ts)`\s+“([^”]+)”/g)].map(([, file = "", title = ""]) => ({
    file,
    title: title.replace(/\s+/g, " "),
  }));
  expect(named.length).toBeGreaterThan(40);
  // Every test that is mentioned is one of them.
  expect(page.match(/\.test\.ts/g)?.length).toBe(named.length);
  const missing = named.filter(({ file, title }) => {
    const path = join(root, file);
    const titles = existsSync(path) ? readFileSync(path, "utf8") : "";
    return !new RegExp(`\\b(?:test|check)(?:\\.\\w+\\([^\n]*\\))?\\(\\s*"${RegExp.escape(title)}"`).test(titles);
  });
  expect(missing).toEqual([]);
  for (const verb of page.split(/^## /m).slice(1)) {
    for (const promise of ["Delivery", "Order", "Duplicates", "Durability"]) expect(verb).toContain(`**${promise}.**`);
  }
});

test("every error code is raised somewhere", () => {
  const { errorCodes } = require("@soorma/core/errors") as { errorCodes: Record<string, unknown> };
  const sources = [...new Bun.Glob("{core,broker,cli,plugins}/**/*.ts").scanSync(root)]
    .filter((file) => !/node_modules|\/testing\/|\.test\.ts$|^core\/src\/errors\.ts$/.test(file))
    .map((file) => readFileSync(join(root, file), "utf8"));
  // What a handler throws becomes this one by default.
  const known = Object.keys(errorCodes).filter((code) => code !== "HANDLER_FAILED");
  expect(known.filter((code) => !sources.some((source) => source.includes(`"${code}"`)))).toEqual([]);
});

test("bun.lock holds no address that a package is downloaded from", () => {
  expect(readFileSync(join(root, "bun.lock"), "utf8")).not.toMatch(/https?:\/\//);
});

function foldersIn(room: string): string[] {
  const entries = readdirSync(join(root, room), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(room, name));
}

async function checkCommand(command: string): Promise<void> {
  const words = command.match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  const [program = "", ...rest] = words;
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  switch (program) {
    case "npx": {
      expect(rest.slice(0, 2)).toEqual(["--yes", manifest.packageManager]);
      return checkCommand(["bun", ...rest.slice(2)].join(" "));
    }
    case "bun": {
      const [verb = "", ...given] = rest;
      if (verb === "cli/bin/soorma.ts") return checkSoorma(given);
      if (verb === "create" && given[0] === "soorma") return checkSoorma(["init", ...given.slice(1)]);
      if (verb === "run") return expect(Object.keys(manifest.scripts)).toContain(given[0] ?? "");
      if (verb.endsWith(".ts")) return expect(await Bun.file(join(root, verb)).exists()).toBe(true);
      return expect(["install", "test", "add"]).toContain(verb);
    }
    case "bunx":
      expect(rest[0]).toBe("soorma");
      return checkSoorma(rest.slice(1));
    case "soorma":
      return checkSoorma(rest);
    default:
      expect(["cd", "git", "jq"]).toContain(program);
  }
}

/** Asks the command itself for its options. */
async function checkSoorma([name = "", ...rest]: readonly string[]): Promise<void> {
  // Of a group the second word is the command.
  const group = await run(["bun", "cli/bin/soorma.ts", name, "--help"]);
  const isGroup = /^Commands:$/m.test(group.output);
  const [name2 = "", ...given] = isGroup ? rest : ["", ...rest];
  const words = [name, name2].filter((word) => word !== "");
  const { code, output } = name2 === "" ? group : await run(["bun", "cli/bin/soorma.ts", ...words, "--help"]);
  expect({ words, code }).toEqual({ words, code: 0 });
  expect(output).toStartWith(`Usage: soorma ${words.join(" ")}`);
  const flags = given.filter((word) => word.startsWith("-"));
  expect(flags.filter((flag) => !new RegExp(`(^|[ ,])${flag}\\b`, "m").test(output))).toEqual([]);
}

async function run([program, ...args]: readonly [string, ...string[]]): Promise<{ code: number; output: string }> {
  const command = [program === "bun" ? process.execPath : program, ...args];
  const env = { ...process.env, NO_COLOR: "1" };
  const child = Bun.spawn(command, { cwd: root, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, output: out + err };
}
