import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSoormaError, type SoormaError } from "@soorma/core/errors";
import { loadConfig } from "./config.ts";
import { configFault } from "./config-schema.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soorma-config-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function failureOf(code: string): Promise<SoormaError> {
  writeFileSync(join(root, "soorma.config.ts"), code);
  const error: unknown = await loadConfig(root).catch((thrown: unknown) => thrown);
  if (!isSoormaError(error, "CONFIG_INVALID")) throw new Error(`not refused: ${Bun.inspect(error)}`);
  return error;
}

test("a project without a configuration has an empty one", async () => {
  expect(await loadConfig(root)).toEqual({});
});

test("a saved configuration is read anew", async () => {
  const file = join(root, "soorma.config.ts");
  writeFileSync(file, `export default { dev: { drainMs: 1 } };`);
  expect(await loadConfig(root)).toEqual({ dev: { drainMs: 1 } });
  writeFileSync(file, `export default { agents: { a: "a.ts", b: { entry: "b.ts", instances: 2 } } };`);
  expect(await loadConfig(root)).toEqual({ agents: { a: "a.ts", b: { entry: "b.ts", instances: 2 } } });
});

test("a configuration that throws is shown with file and line", async () => {
  const error = await failureOf(`const x = 1;\n\nthrow new Error("no luck");`);
  expect(error.message).toContain("no luck");
  expect(error.message).toMatch(/soorma\.config\.ts.*:3:/);
});

test("a syntax error in it is shown with file and line", async () => {
  const error = await failureOf("export default {\n  a: 1\n  b: 2 };");
  expect(error.message).toMatch(/soorma\.config\.ts:3:3/);
});

test("a configuration without a default export is refused", async () => {
  expect((await failureOf("export const config = {};")).message).toContain("default export");
});

test.each([
  [{ agent: {} }, "agent", 'did you mean "agents"?'],
  [{ dev: { prot: 1 } }, "dev.prot", 'did you mean "port"?'],
  [{ agents: { a: { entry: "x", instance: 2 } } }, "agents.a.instance", 'did you mean "instances"?'],
])("a misspelt key in %j is named with its path and the nearest right one", (config, path, hint) => {
  expect(configFault(config)).toMatchObject({ path, hint });
});

test.each([
  [{ dev: { port: 99_999 } }, "dev.port"],
  [{ dev: { drainMs: "1s" } }, "dev.drainMs"],
  [{ agents: { a: { entry: 7 } } }, "agents.a.entry"],
  [{ agents: [] }, "agents"],
  [7, "(the whole)"],
])("a wrong value in %j is named with its path", (config, path) => {
  expect(configFault(config)?.path).toBe(path);
});

test.each([[{}], [{ agents: { a: "x.ts" }, dev: { port: 7700, drainMs: 0 } }]])("%j is fine", (config) => {
  expect(configFault(config)).toBeUndefined();
});
