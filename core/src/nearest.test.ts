import { expect, test } from "bun:test";
import { nearest } from "./nearest.ts";

const commands = ["init", "dev", "goal", "demo", "version"];

test("one slip of the finger finds the word", () => {
  expect(nearest("inti", commands)).toBe("init");
  expect(nearest("deb", commands)).toBe("dev");
  expect(nearest("versoin", commands)).toBe("version");
  expect(nearest("GOAL", commands)).toBe("goal");
});

test("the beginning of a word finds it", () => {
  expect(nearest("vers", commands)).toBe("version");
});

test("a word like none of them finds nothing", () => {
  expect(nearest("frobnicate", commands)).toBeUndefined();
  expect(nearest("", commands)).toBeUndefined();
  expect(nearest("xy", ["ab"])).toBeUndefined();
});

test("of two equally close ones the first is taken", () => {
  expect(nearest("bat", ["cat", "hat"])).toBe("cat");
});
