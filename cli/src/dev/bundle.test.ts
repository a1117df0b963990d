import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleAgent, linkedPackages } from "./bundle.ts";

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-bundle-")));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(root, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

test("an agent is made of what it imports, however far away, and not of packages", async () => {
  const agent = write(
    "agents/a.ts",
    `import { b } from "../b.ts"; import "soorma"; console.log(b, await import("../c.ts"));`,
  );
  const b = write("b.ts", `import text from "./note.txt"; export const b = text;`);
  const c = write("c.ts", "export const c = 1;");
  const note = write("note.txt", "hello");
  write("unrelated.ts", "");
  const result = await bundleAgent(agent);
  expect(result).toMatchObject({ ok: true, run: agent });
  expect([...result.files].sort()).toEqual([agent, b, c, note].sort());
});

test("a syntax error is told with file, line and a mark under it", async () => {
  const agent = write("a.ts", `import "./b.ts";`);
  const b = write("b.ts", "export const b = {\n  x: 1\n  y: 2\n};");
  const result = await bundleAgent(agent);
  if (result.ok) throw new Error("it was accepted");
  expect(result.problem).toContain(`${b}:3:3`);
  expect(result.problem).toMatch(/3 \| {3}y: 2\n {6}\^/);
  expect(result.files).toContain(b);
});

test("an import of what is not there is told with the place of the import", async () => {
  const agent = write("a.ts", `\nimport "./nowhere.ts";`);
  const result = await bundleAgent(agent);
  if (result.ok) throw new Error("it was accepted");
  expect(result.problem).toContain("./nowhere.ts");
  expect(result.problem).toContain(`${agent}:2:`);
});

test("a file that is gone is told", async () => {
  expect(await bundleAgent(join(root, "none.ts"))).toMatchObject({ ok: false, files: [join(root, "none.ts")] });
});

test("with an output folder a bundle is written and named", async () => {
  const agent = write("agents/a.ts", `import { b } from "../b.ts"; console.log(b);`);
  write("b.ts", `export const b = "from b";`);
  const result = await bundleAgent(agent, join(root, "out"));
  if (!result.ok) throw new Error(result.problem);
  expect(result.run).toBe(join(root, "out", "a.js"));
  expect(Bun.spawnSync([process.execPath, result.run]).stdout.toString()).toBe("from b\n");
});

test("a package that is linked in from beside the project is followed, an installed one is not", async () => {
  write(
    "app/package.json",
    JSON.stringify({ dependencies: { "@me/shared": "workspace:*", installed: "1", soorma: "1" } }),
  );
  write("app/node_modules/installed/package.json", JSON.stringify({ main: "index.js" }));
  write("app/node_modules/installed/index.js", "export default 1;");
  write("shared/package.json", JSON.stringify({ name: "@me/shared", exports: { ".": "./src/index.ts" } }));
  const index = write("shared/src/index.ts", `export * from "./more.ts";`);
  const more = write("shared/src/more.ts", "export const more = 1;");
  mkdirSync(join(root, "app/node_modules/@me"));
  symlinkSync(join(root, "shared"), join(root, "app/node_modules/@me/shared"));
  const agent = write(
    "app/a.ts",
    `import { more } from "@me/shared"; import one from "installed"; console.log(more, one);`,
  );
  const linked = linkedPackages(join(root, "app"));
  expect(linked).toEqual(["@me/shared"]);
  const result = await bundleAgent(agent, undefined, linked);
  expect([...result.files].sort()).toEqual([agent, index, more].sort());
});
