import { expect, test } from "bun:test";
import { contractNameFault, nameFault, nameIdea, parseCapabilities, parseDescription } from "./name.ts";

test.each(["a", "my-worker", "x2", "a-1-b"])("%j is a name", (name) => {
  expect(nameFault(name)).toBeUndefined();
});

test.each([
  "",
  "My",
  "1a",
  "-a",
  "a-",
  "a--b",
  "a_b",
  "a b",
  "a/b",
  "../a",
  "soorma",
  "node_modules",
  "ä",
  "a".repeat(65),
])("%j is no name", (name) => {
  expect(nameFault(name)).toBeString();
});

test("a text that is no name gets an idea for one", () => {
  expect(nameIdea("My Great Agent!")).toBe("my-great-agent");
  expect(nameIdea("Über_Agent")).toBe("uber-agent");
  expect(nameIdea("42")).toBeUndefined();
  expect(nameIdea("soorma")).toBeUndefined();
});

test("capabilities are split, trimmed and without doubles", () => {
  expect(parseCapabilities(" paper_search, a.b ,paper_search,")).toEqual(["paper_search", "a.b"]);
  expect(() => parseCapabilities(" , ")).toThrow(/no capability/);
  expect(() => parseCapabilities("ok,not ok")).toThrow(/"not ok"/);
});

test("a description is one line", () => {
  expect(parseDescription(" two\n lines\t here ")).toBe("two lines here");
  expect(parseDescription("a\u001b[2Jb\u0007c")).toBe("abc");
  expect(() => parseDescription(" \n ")).toThrow(/empty/);
  expect(() => parseDescription("x".repeat(301))).toThrow(
    expect.objectContaining({ message: expect.stringContaining("301"), hint: expect.any(String) }),
  );
});

test("contracts are called like functions or like event types", () => {
  for (const name of ["resize", "paper_search", "order.placed", "Do.it-2"]) {
    expect(contractNameFault(name)).toBeUndefined();
  }
  for (const name of ["", "a b", "../a", "a..b", "a.", "2", "ä", "a".repeat(129)]) {
    expect(contractNameFault(name)).toBeString();
  }
});
