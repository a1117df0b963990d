import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  cpSync,
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
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "..");

/** What a room may not hold: the file, what is in it, the rule that says so. */
const planted: readonly [file: string, line: string, rule: string][] = [
  ["core/src/a.ts", 'export * from "@soorma/broker";', "noRestrictedImports"],
  ["core/src/b.ts", 'export * from "soorma";', "noRestrictedImports"],
  ["core/src/c.ts", 'export * from "@soorma/transport-zeromq";', "noRestrictedImports"],
  ["core/src/d.ts", 'export const loaded = import("@soorma/registry-broker");', "noRestrictedImports"],
  ["core/src/mesh/e.ts", 'export * from "../../../broker/src/index.ts";', "noRestrictedImports"],
  ["core/src/f.ts", 'export * from "../../plugins/transport-zeromq/src/index.ts";', "noRestrictedImports"],
  ["core/src/g.ts", 'export * from "../testing/index.ts";', "noRestrictedImports"],
  ["core/testing/h.ts", 'export * from "@soorma/transport-inproc";', "noRestrictedImports"],
  ["core/src/i.test.ts", 'import "@soorma/transport-inproc";', "noRestrictedImports"],

  ["plugins/transport-zeromq/src/a.ts", 'export * from "@soorma/broker";', "noRestrictedImports"],
  ["plugins/transport-zeromq/src/b.ts", 'export * from "@soorma/transport-inproc";', "noRestrictedImports"],
  ["plugins/transport-zeromq/src/c.ts", 'export * from "soorma";', "noRestrictedImports"],
  ["plugins/transport-zeromq/src/d.ts", 'export * from "../../transport-inproc/src/index.ts";', "noRestrictedImports"],
  ["plugins/transport-zeromq/src/e.ts", 'export * from "../../../core/src/index.ts";', "noRestrictedImports"],
  ["plugins/transport-zeromq/src/f.ts", 'export * from "@soorma/core/testing";', "noRestrictedImports"],
  ["plugins/registry-broker/src/g.test.ts", 'import "@soorma/broker";', "noRestrictedImports"],

  ["broker/src/a.ts", 'export * from "@soorma/transport-zeromq";', "noRestrictedImports"],
  ["broker/src/b.ts", 'export * from "soorma";', "noRestrictedImports"],
  ["broker/src/c.ts", 'export * from "../../core/src/index.ts";', "noRestrictedImports"],
  ["broker/src/d.ts", 'export * from "@soorma/core/testing";', "noRestrictedImports"],
  ["broker/src/e.test.ts", 'import "@soorma/transport-inproc";', "noRestrictedImports"],

  ["cli/src/a.ts", 'export * from "@soorma/transport-inproc";', "noRestrictedImports"],
  ["cli/src/b.ts", 'export * from "../../broker/src/index.ts";', "noRestrictedImports"],
  ["cli/src/commands/c.ts", 'export * from "../../../plugins/transport-zeromq/src/index.ts";', "noRestrictedImports"],
  ["cli/src/d.ts", 'export * from "@soorma/core/testing";', "noRestrictedImports"],

  ["cli/src/testing/a.ts", 'export * from "@soorma/transport-zeromq";', "noRestrictedImports"],

  ["templates/worker/src/a.ts", 'export * from "@soorma/core";', "noRestrictedImports"],
  ["templates/worker/src/b.ts", 'export * from "../../../core/src/index.ts";', "noRestrictedImports"],
  ["templates/worker/src/c.ts", 'export * from "../../tool/src/calculate.ts";', "noRestrictedImports"],

  ["tests/a.ts", 'export * from "../core/src/index.ts";', "noRestrictedImports"],
  ["tests/mesh/b.test.ts", 'import "../../cli/src/main.ts";', "noRestrictedImports"],
  ["tests/c.ts", 'export * from "../plugins/transport-zeromq/src/index.ts";', "noRestrictedImports"],

  ["core/src/undeclared.ts", 'export * from "left-pad";', "noUndeclaredDependencies"],
  ["core/src/console.ts", 'console.log("here");', "noConsole"],
  ["plugins/transport-zeromq/src/console.ts", 'console.error("here");', "noConsole"],
  ["core/src/default.ts", "export default 1;", "noDefaultExport"],
  ["plugins/transport-zeromq/src/default.ts", "export default 1;", "noDefaultExport"],
  ["broker/src/any.ts", "export const any: any = 1;", "noExplicitAny"],

  ...["core/src", "broker/src", "plugins/transport-zeromq/src"].flatMap((folder): [string, string, string][] => [
    [`${folder}/timeout.ts`, "setTimeout(() => {}, 1);", "noRestrictedGlobals"],
    [`${folder}/interval.ts`, "setInterval(() => {}, 1);", "noRestrictedGlobals"],
    [`${folder}/immediate.ts`, "setImmediate(() => {});", "noRestrictedGlobals"],
    [`${folder}/date.ts`, "export const now = Date.now();", "noRestrictedGlobals"],
    [`${folder}/performance.ts`, "export const now = performance.now();", "noRestrictedGlobals"],
    [`${folder}/crypto.ts`, "export const id = crypto.randomUUID();", "noRestrictedGlobals"],
    [`${folder}/random.ts`, "export const some = Math.random();", "plugin"],
    [`${folder}/sleep.ts`, "export const slept = Bun.sleep(1);", "plugin"],
    [`${folder}/hidden.ts`, "export const id = globalThis.setTimeout(() => {}, 1);", "plugin"],
    [`${folder}/signal.ts`, "export const signal = AbortSignal.timeout(1);", "plugin"],
    [`${folder}/timers.ts`, 'export { setTimeout } from "node:timers";', "noRestrictedImports"],
    [`${folder}/wait.ts`, 'export { setTimeout } from "node:timers/promises";', "noRestrictedImports"],
  ]),
];

/** What is allowed, so that the rules are not red for everything. */
const allowed: readonly [file: string, line: string][] = [
  ["core/src/ok.ts", 'export * from "./errors.ts";'],
  ["core/src/ok.test.ts", 'import "../testing/index.ts"; export const now = Date.now() + Math.random();'],
  ["core/src/runtime.ts", "export const now = (): number => Date.now();"],
  ["plugins/transport-zeromq/src/ok.ts", 'export * from "@soorma/core";'],
  ["plugins/transport-zeromq/src/ok.test.ts", 'import "@soorma/core/testing";'],
  ["plugins/transport-zeromq/src/index.ts", "export default 1;"],
  ["broker/src/ok.ts", 'export * from "@soorma/core";'],
  ["broker/src/ok.test.ts", 'import "@soorma/core/testing";'],
  ["cli/src/ok.ts", 'import "@soorma/broker"; import "@soorma/core"; import "@soorma/transport-zeromq";'],
  ["cli/src/testing/ok.ts", 'import "@soorma/core/testing"; import "@soorma/transport-inproc";'],
  ["cli/soorma.config.ts", "export default {};"],
  ["templates/worker/src/ok.ts", 'export * from "soorma"; export * from "./a.ts";'],
  ["tests/ok.ts", 'import "soorma"; import "@soorma/transport-inproc"; console.log("here");'],
];

let folder = "";
let rulesBroken: ReadonlyMap<string, readonly string[]>;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-boundaries-")));
  const config = JSON.parse(readFileSync(join(root, "biome.json"), "utf8"));
  writeFileSync(join(folder, "biome.json"), JSON.stringify({ ...config, vcs: { enabled: false } }));
  cpSync(join(root, "tests/lint"), join(folder, "tests/lint"), { recursive: true });
  const inFolders = (parent: string) =>
    readdirSync(join(root, parent), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && existsSync(join(root, parent, entry.name, "package.json")))
      .map((entry) => `${parent}/${entry.name}`);
  for (const room of [".", "core", "broker", "cli", "tests", ...inFolders("plugins"), ...inFolders("templates")]) {
    mkdirSync(join(folder, room), { recursive: true });
    cpSync(join(root, room, "package.json"), join(folder, room, "package.json"));
  }
  for (const [file, line] of [...planted, ...allowed]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), `${line}\n`);
  }
  rulesBroken = await lint(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(planted)("%s may not say: %s", (file, _line, rule) => {
  expect(rulesBroken.get(file) ?? []).toContain(rule);
});

test.each(allowed)("%s may say: %s", (file) => {
  expect(rulesBroken.get(file) ?? []).toEqual([]);
});

/** The names of the rules that each file breaks. */
async function lint(cwd: string): Promise<Map<string, string[]>> {
  const biome = join(root, "node_modules/.bin/biome");
  const child = Bun.spawn([process.execPath, biome, "lint", "--reporter=json", "--max-diagnostics=none", "."], {
    cwd,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ code, err: code === 1 ? "" : err }).toEqual({ code: 1, err: "" });
  const broken = new Map<string, string[]>();
  for (const { category, severity, location } of JSON.parse(out).diagnostics) {
    if (severity !== "error") continue;
    const file = String(location.path).replace(`${cwd}/`, "");
    broken.set(file, [...(broken.get(file) ?? []), String(category).split("/").at(-1) ?? ""]);
  }
  return broken;
}
