import { expect, test } from "bun:test";
import { keysOf } from "./keys.ts";

test("keys that were typed fast, or pasted, are told apart", () => {
  expect(keysOf("sq\x1b[A\x1bOB\r\x03é \x1b")).toEqual(["s", "q", "up", "down", "enter", "ctrl-c", "é", " ", "escape"]);
});

test("a key there is no name for is one key all the same", () => {
  expect(keysOf("\x1b[5~x")).toEqual(["\x1b[5~", "x"]);
});
