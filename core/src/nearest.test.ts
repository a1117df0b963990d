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

test("a part of a name finds it, even with a slip in it", () => {
  const agents = ["shop-payments", "shop-stock", "eu.billing_run", "pay"];
  expect(nearest("payments", agents)).toBe("shop-payments");
  expect(nearest("paymnets", agents)).toBe("shop-payments");
  expect(nearest("stoc", agents)).toBe("shop-stock");
  expect(nearest("billing-run", agents)).toBe("eu.billing_run");
  expect(nearest("acme-shop-stock", agents)).toBe("shop-stock");
});

test("a slip goes before the beginning of a name, and that before a part of one", () => {
  expect(nearest("order", ["eu-order", "order-printing", "ordre"])).toBe("ordre");
  expect(nearest("order", ["eu-order", "order-printing"])).toBe("order-printing");
});

test("letters from the middle of a word, or two of them, are no part of a name", () => {
  expect(nearest("men", ["shop-payments"])).toBeUndefined();
  expect(nearest("eu", ["shop-eu"])).toBeUndefined();
});

test("a word like none of them finds nothing", () => {
  expect(nearest("frobnicate", commands)).toBeUndefined();
  expect(nearest("", commands)).toBeUndefined();
  expect(nearest("xy", ["ab"])).toBeUndefined();
});

test("of two equally close ones the first is taken", () => {
  expect(nearest("bat", ["cat", "hat"])).toBe("cat");
});
