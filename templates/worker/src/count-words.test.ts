import { expect, test } from "bun:test";
import { countWords } from "./count-words.ts";

test("words are counted, and so are the different ones", () => {
  expect(countWords({ text: "to be or not to be" })).toEqual({ words: 6, distinct: 4, longest: "not" });
});

test("a text without a word has none", () => {
  expect(countWords({ text: "…" })).toEqual({ words: 0, distinct: 0, longest: "" });
});
