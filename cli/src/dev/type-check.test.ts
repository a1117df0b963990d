import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";
import { createTypeChecker, type TypeChecker, type TypeCheckerOptions } from "./type-check.ts";

const typescript = join(import.meta.dir, "..", "..", "..", "node_modules", "typescript");
let root: string;
let checker: TypeChecker | undefined;
let warnings: string[];

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-types-")));
  warnings = [];
  write("package.json", "{}");
  write(
    "tsconfig.json",
    JSON.stringify({ compilerOptions: { strict: true, noEmit: true, types: [] }, include: ["src"] }),
  );
  mkdirSync(join(root, "node_modules"));
  symlinkSync(typescript, join(root, "node_modules/typescript"));
});
afterEach(() => {
  checker?.close();
  checker = undefined;
  rmSync(root, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

function create(options: Partial<TypeCheckerOptions> = {}): TypeChecker {
  checker = createTypeChecker({
    root,
    buildFolder: join(root, ".soorma/build"),
    sentinel: { add() {}, remove() {}, close() {} },
    warn: (text) => warnings.push(text),
    onChange() {},
    ...options,
  });
  if (!checker) throw new Error("there is no checker");
  return checker;
}

async function problemOf(...files: string[]): Promise<string | undefined> {
  const verdict = await checker?.check(new Set(files));
  return verdict?.ok === false ? verdict.problem.replaceAll(`${root}/`, "") : undefined;
}

async function ended(process: ProcessIdentity): Promise<void> {
  while (isRunning(process)) await Bun.sleep(5);
}

test("one server judges every saved file: its own faults, those of its importers, of new files and of ones that are gone", async () => {
  const b = write("src/b.ts", "export const b: number = 1;\n");
  const a = write("src/a.ts", 'import { b } from "./b";\nexport const ä = "😀"; export const a: number = b;\n');
  const outside = write("tools/c.ts", "export const c: string = 1;\n");
  create();
  expect(await problemOf(a, b, outside)).toBeUndefined();
  const server = checker?.process;
  write("src/b.ts", "export const b: number = 2;\n");
  expect(await problemOf(a, b)).toBeUndefined();
  expect(checker?.process).toEqual(server as ProcessIdentity);

  write("src/b.ts", 'export const b: { c: string | number } = { c: "" };\n');
  write("src/a.ts", 'import { b } from "./b";\nexport const ä = "😀"; export const a: { c: string } = b;\n');
  expect(await problemOf(a, b)).toBe(`TS2322: Type '{ c: string | number; }' is not assignable to type '{ c: string; }'.
  Types of property 'c' are incompatible.
    Type 'string | number' is not assignable to type 'string'.
      Type 'number' is not assignable to type 'string'.
  at src/a.ts:2:37
2 | export const ä = "😀"; export const a: { c: string } = b;
                                        ^`);
  expect(await problemOf(b)).toBeUndefined();

  const c = write("src/c.ts", "export const c: number = 1;\n");
  write("src/a.ts", 'import type { D } from "./d";\nimport { c } from "./c";\nexport const a: D = c;\n');
  write("src/d.ts", "export type D = number;\n");
  expect(await problemOf(a, c)).toBeUndefined();
  // Nothing but types comes from it, so it is none of the agent's files.
  write("src/d.ts", "export type D = string;\n");
  expect(await problemOf(a, c)).toContain("TS2322");
  rmSync(join(root, "src/d.ts"));
  expect(await problemOf(a, c)).toContain("TS2307");
  write("src/a.ts", "export const a: number = ;\n");
  expect(await problemOf(a)).toStartWith("TS1109: Expression expected.\n  at src/a.ts:1:26");
  expect(warnings).toEqual([]);
}, 30_000);

test("what is set or installed while the server runs counts", async () => {
  const a = write("src/a.ts", 'import { p } from "p";\nexport const a: number = p;\nexport function f(x: number) {}\n');
  create();
  expect(await problemOf(a)).toContain("TS2307");
  write("node_modules/p/package.json", JSON.stringify({ name: "p", types: "./index.d.ts" }));
  write("node_modules/p/index.d.ts", "export declare const p: number;\n");
  expect(await problemOf(a)).toBeUndefined();
  const compilerOptions = { strict: true, noEmit: true, types: [], noUnusedParameters: true };
  write("tsconfig.json", JSON.stringify({ compilerOptions, include: ["src"] }));
  expect(await problemOf(a)).toContain("TS6133");
}, 30_000);

test("a server that is killed, or does not answer in time, is told, and a run of tsc judges instead", async () => {
  const a = write("src/a.ts", "export const a: string = 1;\n");
  create();
  expect(await problemOf(a)).toContain("TS2322");
  const first = checker?.process as ProcessIdentity;
  process.kill(first.pid, "SIGKILL");
  await ended(first);
  expect(await problemOf(a)).toContain("src/a.ts:1:14");
  expect(warnings).toEqual([expect.stringContaining("types are checked by a run of tsc: TypeScript's server ended")]);
  checker?.close();

  warnings = [];
  create({ patienceMs: 0 });
  for (const _ of [1, 2, 3, 4]) expect(await problemOf(a)).toContain("TS2322");
  expect(warnings).toHaveLength(3);
  expect(warnings.at(-1)).toContain("as from now on");
  expect(checker?.process).toBeUndefined();
}, 60_000);

test("the server ends when the checker is closed", async () => {
  const a = write("src/a.ts", "export const a = 1;\n");
  create();
  await problemOf(a);
  const server = checker?.process as ProcessIdentity;
  expect(isRunning(server)).toBe(true);
  checker?.close();
  await ended(server);
});

test("an older TypeScript is run; one that fails without a word lets nothing pass", async () => {
  rmSync(join(root, "node_modules/typescript"));
  write("node_modules/typescript/package.json", JSON.stringify({ version: "5.9.3", bin: { tsc: "tsc.js" } }));
  write(
    "node_modules/typescript/tsc.js",
    'console.log("src/a.ts(1,14): error TS1: no\\n  as it is"); process.exitCode = 2;',
  );
  const a = write("src/a.ts", "export const a = 1;\n");
  create();
  expect(await problemOf(a)).toBe(
    "TS1: no\n  as it is\n  at src/a.ts:1:14\n1 | export const a = 1;\n                 ^",
  );
  expect(await problemOf(write("src/b.ts", "export const b = 1;\n"))).toBeUndefined();
  write("node_modules/typescript/tsc.js", "process.exitCode = 3;");
  expect(await problemOf(a)).toBe(
    "types could not be checked: tsc ended with exit code 3 and told nothing\n" +
      "run it yourself to see more, or do without by `soorma dev --no-types`",
  );
});

test("without a tsconfig.json, or without TypeScript, there is no checker", () => {
  rmSync(join(root, "tsconfig.json"));
  expect(create).toThrow("there is no checker");
  write("tsconfig.json", "{}");
  rmSync(join(root, "node_modules/typescript"));
  expect(create).toThrow("there is no checker");
});
