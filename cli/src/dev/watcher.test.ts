import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createWatcher, type Watcher } from "./watcher.ts";

let root: string;
let watcher: Watcher;
let changes: string[][];
let changed: PromiseWithResolvers<void>;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-watch-")));
  changes = [];
  changed = Promise.withResolvers();
  watcher = createWatcher((paths) => {
    changes.push([...paths].map((path) => path.slice(root.length + 1)).sort());
    changed.resolve();
    changed = Promise.withResolvers();
  });
});
afterEach(() => {
  watcher[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  writeFileSync(join(root, name), text);
  return join(root, name);
}

/** Does something that is told, and waits until it was. */
async function told(act: () => void): Promise<string[] | undefined> {
  const next = changed.promise;
  act();
  await next;
  return changes.at(-1);
}

test("a file that is written to is told, once", async () => {
  watcher.setFiles([file("a", "1"), file("b", "1")]);
  expect(await told(() => file("a", "2"))).toEqual(["a"]);
  expect(await told(() => file("b", "2"))).toEqual(["b"]);
  expect(changes).toEqual([["a"], ["b"]]);
});

test("a file that is replaced, as editors do, is told, and again the next time", async () => {
  watcher.setFiles([file("a", "1")]);
  for (const text of ["2", "3"]) {
    expect(await told(() => renameSync(file("a.tmp", text), join(root, "a")))).toEqual(["a"]);
  }
});

test("a file that is saved as it was is not told", async () => {
  watcher.setFiles([file("a", "1"), file("b", "1")]);
  file("a", "1");
  expect(await told(() => file("b", "2"))).toEqual(["b"]);
  expect(changes).toEqual([["b"]]);
});

test("a file that is missing is told when it appears, and when it is gone again", async () => {
  watcher.setFiles([join(root, "later")]);
  expect(await told(() => file("later", "1"))).toEqual(["later"]);
  expect(await told(() => rmSync(join(root, "later")))).toEqual(["later"]);
});

test("a folder is told when a file in it comes or goes", async () => {
  mkdirSync(join(root, "agents"));
  watcher.setFiles([join(root, "agents")]);
  expect(await told(() => file("agents/a.ts", ""))).toEqual(["agents"]);
  expect(await told(() => rmSync(join(root, "agents/a.ts")))).toEqual(["agents"]);
});

test("what is not watched any more is not told", async () => {
  const [a, b] = [file("a", "1"), file("b", "1")];
  watcher.setFiles([a, b]);
  watcher.setFiles([b]);
  file("a", "2");
  expect(await told(() => file("b", "2"))).toEqual(["b"]);
});

test("what came into a new folder before it was watched is told", async () => {
  const folder = join(root, "agents");
  watcher.setFiles([folder]);
  const first = changed.promise;
  mkdirSync(folder);
  file("agents/one.ts", "1");
  await first;
  file("agents/two.ts", "2");
  const second = changed.promise;
  watcher.setFiles([folder]);
  await second;
  expect(changes).toEqual([["agents"], ["agents"]]);
});

test("a folder that is removed and made again, as a change of branches does, is watched again", async () => {
  mkdirSync(join(root, "src"));
  watcher.setFiles([file("src/a", "1")]);
  expect(await told(() => rmSync(join(root, "src"), { recursive: true }))).toEqual(["src/a"]);
  const again = changed.promise;
  mkdirSync(join(root, "src"));
  file("src/a", "2");
  await again;
  expect(await told(() => file("src/a", "3"))).toEqual(["src/a"]);
});
