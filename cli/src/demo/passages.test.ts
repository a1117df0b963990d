import { expect, test } from "bun:test";
import { parseBlocks, plainText } from "./blocks.ts";
import { splitPassages } from "./passages.ts";

const document = `---
title: front
---
# Bees

Bees live in hives.
They make honey.

## Food

- nectar,
  which is sweet
- pollen

Run this:

\`\`\`sh
# not a heading
bees --fly
\`\`\`

| what | where |
| --- | --- |
| hive | garden |

Winter
------

They stay inside.
`;

test("blocks are headings, paragraphs, items, code and tables with their lines", () => {
  expect(parseBlocks(document).map(({ kind, line, lines }) => [kind, line, lines.length])).toEqual([
    ["heading", 4, 1],
    ["paragraph", 6, 2],
    ["heading", 9, 1],
    ["item", 11, 2],
    ["item", 13, 1],
    ["paragraph", 15, 1],
    ["code", 17, 4],
    ["table", 22, 3],
    ["heading", 26, 1],
    ["paragraph", 29, 1],
  ]);
});

test("a passage is what is under one heading, word for word, with the headings above it", () => {
  const passages = splitPassages("bees.md", document);
  expect(passages.map(({ file, line, heading }) => [file, line, heading])).toEqual([
    ["bees.md", 6, "Bees"],
    ["bees.md", 11, "Bees › Food"],
    ["bees.md", 29, "Bees › Winter"],
  ]);
  const lines = document.split("\n");
  for (const { line, text } of passages) {
    expect(text.split("\n")).toEqual(lines.slice(line - 1, line - 1 + text.split("\n").length));
  }
  expect(passages[1]?.text).toContain("# not a heading\nbees --fly");
});

test("lines are counted alike whatever ends them", () => {
  const lines = (end: string): (string | number)[][] =>
    splitPassages("a.md", document.replaceAll("\n", end)).map(({ line, text }) => [line, text]);
  expect(lines("\r\n")).toEqual(lines("\n"));
  expect(lines("\r")).toEqual(lines("\n"));
});

test("a long section becomes several passages that lose nothing", () => {
  const paragraphs = Array.from({ length: 40 }, (_, i) => `Paragraph ${i} says ${"something ".repeat(20)}`);
  const passages = splitPassages("a.md", `# A\n\n${paragraphs.join("\n\n")}`);
  expect(passages.length).toBeGreaterThan(5);
  for (const { heading, text } of passages) {
    expect(heading).toBe("A");
    expect(text.length).toBeLessThanOrEqual(2_000);
  }
  const all = passages.map(({ text }) => text).join("\n");
  for (const i of paragraphs.keys()) expect(all).toContain(`Paragraph ${i} says`);
});

test("one endless line is cut between words, and characters stay whole", () => {
  const words = Array.from({ length: 3_000 }, (_, i) => `word${i}`).join(" ");
  const passages = splitPassages("a.txt", words);
  expect(passages.every(({ text, line }) => text.length <= 2_000 && line === 1)).toBe(true);
  expect(passages.map(({ text }) => text).join(" ")).toBe(words);
  const faces = "😀".repeat(2_001);
  const pieces = splitPassages("a.txt", `x${faces}`);
  expect(pieces.map(({ text }) => text).join("")).toBe(`x${faces}`);
  expect(pieces.every(({ text }) => text.isWellFormed())).toBe(true);
});

test("code that is never closed, comments that are never closed and empty files are no trouble", () => {
  expect(splitPassages("a.md", "")).toEqual([]);
  expect(splitPassages("a.md", "# Only a heading\n")).toEqual([]);
  expect(splitPassages("a.md", "```\ncode").map(({ text }) => text)).toEqual(["```\ncode"]);
  expect(splitPassages("a.md", "text\n\n<!-- never\nclosed")).toHaveLength(1);
});

test("markup is taken out and code stays as it is", () => {
  expect(plainText("A **bold** [link](https://x.y), `a*b*c` and ![logo](l.png)")).toBe("A bold link, `a*b*c` and logo");
  expect(plainText("<b>x</b> is 2 * 3 * 4, snake_case_name and _so_")).toBe("x is 2 * 3 * 4, snake_case_name and so");
  expect(plainText("see <https://a.b/c> and \\*stars\\*")).toBe("see https://a.b/c and *stars*");
});
