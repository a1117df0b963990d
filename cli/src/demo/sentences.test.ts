import { expect, test } from "bun:test";
import { sentencesOf, splitSentences } from "./sentences.ts";

const of = (text: string, line = 1) => sentencesOf({ file: "a.md", line, heading: "A", text });

test("sentences end where they end, not at abbreviations, versions or inside code", () => {
  const split = (text: string): string[] => splitSentences(text).map((sentence) => sentence.text);
  expect(split("Bees fly. They dance! Do they? Yes.")).toEqual(["Bees fly.", "They dance!", "Do they?", "Yes."]);
  expect(split("Use Node.js 20.1 or later, e.g. Bun. It works.")).toEqual([
    "Use Node.js 20.1 or later, e.g. Bun.",
    "It works.",
  ]);
  expect(split("Call `a. B` now. Then wait.")).toEqual(["Call `a. B` now.", "Then wait."]);
  expect(split("蜂は飛ぶ。蜜を作る。")).toEqual(["蜂は飛ぶ。", "蜜を作る。"]);
});

test("each sentence has the line it begins on", () => {
  const sentences = of("Bees fly. They\ndance. All\nday long.\n\n- an item\n- another. With two.", 10);
  expect(sentences.map(({ line, text }) => [line, text])).toEqual([
    [10, "Bees fly."],
    [10, "They dance."],
    [11, "All day long."],
    [14, "an item"],
    [15, "another."],
    [15, "With two."],
  ]);
});

test("an introduction comes with the code it introduces", () => {
  const [sentence] = of("Install it. Then run this:\n\n```sh\n  soorma init\n    --yes\n```").slice(1);
  expect(sentence).toMatchObject({ text: "Then run this:", line: 1, code: ["soorma init", "  --yes"] });
});

test("an introduction comes with the list it introduces, as one sentence", () => {
  const texts = of("It needs two things:\n\n- Bun,\n- a disk.").map(({ text }) => text);
  expect(texts).toContain("It needs two things: Bun; a disk.");
});

test("a table's row says what its cells mean", () => {
  const texts = of("| option | default | meaning |\n|---|---:|---|\n| `leaseMs` | 10 | how long |").map((s) => s.text);
  expect(texts).toEqual(["`leaseMs`: default: 10; meaning: how long"]);
  expect(of("| a | b |\n|---|---|\n| x | is y |").map(({ text }) => text)).toEqual(["x: is y"]);
});
