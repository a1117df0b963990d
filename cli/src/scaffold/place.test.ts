import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkPlace, openSite } from "./place.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soorma-place-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const files = [{ path: "a/b.txt", text: "b" }];

test("a finished project is at its place and nothing else is left", () => {
  using site = openSite(join(root, "p"));
  site.write(files);
  expect(existsSync(join(root, "p"))).toBe(false);
  site.finish();
  expect(readFileSync(join(root, "p/a/b.txt"), "utf8")).toBe("b");
  expect(readdirSync(root)).toEqual(["p"]);
});

test("a project that is given up leaves nothing, nor the folders above it that were made for it", () => {
  {
    using site = openSite(join(root, "x/y/p"));
    site.write(files);
  }
  expect(readdirSync(root)).toEqual([]);
});

test("an empty folder that is there stays the same folder", () => {
  const target = join(root, "p");
  mkdirSync(target);
  const { ino } = statSync(target);
  using site = openSite(target);
  site.write(files);
  site.finish();
  expect(statSync(target).ino).toBe(ino);
  expect(readdirSync(target)).toEqual(["a"]);
});

test("a folder that is not empty is refused, also when it came to be so meanwhile", () => {
  const target = join(root, "p");
  {
    using site = openSite(target);
    site.write(files);
    mkdirSync(target);
    writeFileSync(join(target, "mine"), "");
    expect(() => site.finish()).toThrow(/not empty/);
  }
  expect(readdirSync(root)).toEqual(["p"]);
  expect(readdirSync(target)).toEqual(["mine"]);
  expect(() => checkPlace(join(target, "mine"))).toThrow(/is a file/);
});

test("into an empty folder things come from within: it may be a disk of its own, in a folder that cannot be written", () => {
  const target = join(root, "p");
  mkdirSync(target);
  {
    using site = openSite(target);
    expect(dirname(site.folder)).toBe(target);
    site.write(files);
  }
  expect(readdirSync(target)).toEqual([]);
  expect(readdirSync(root)).toEqual(["p"]);
});

test("a link that leads nowhere is in the way, and so is a file that would have to be a folder", () => {
  symlinkSync("nowhere", join(root, "link"));
  writeFileSync(join(root, "file"), "");
  expect(() => openSite(join(root, "link"))).toThrow(/a link that leads nowhere/);
  for (const target of ["file/p", "file/x/p"]) {
    expect(() => openSite(join(root, target))).toThrow(
      expect.objectContaining({ code: "TARGET_NOT_WRITABLE", hint: expect.stringContaining("--dir") }),
    );
  }
  expect(readdirSync(root).sort()).toEqual(["file", "link"]);
});
