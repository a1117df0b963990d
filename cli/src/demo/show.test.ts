import { expect, test } from "bun:test";
import { colorsFor } from "../ui/colors.ts";
import { measureText } from "./measure.ts";
import { createPlainProgress, progressLines } from "./progress.ts";
import { reportLines, wrap } from "./show.ts";

const colors = colorsFor({ env: { NO_COLOR: "1" }, liveStderr: true });
const timings = {
  startUpMs: 900,
  planningMs: 3,
  indexingMs: 1_234,
  searchingMs: 40,
  answeringMs: 0.2,
  totalMs: 12_345,
};

function report(columns: number): string[] {
  return reportLines({
    question: "What do bees make?",
    result: {
      answer: "Bees make honey in hives and many other things that take a while to say. [1]\n    bees --make honey",
      citations: [{ n: 1, file: "bees.md", line: 3, heading: "Bees › Food", quotes: [] }],
      missing: ["zebras"],
      files: 1,
      passages: 2,
      words: 1_234,
      readingSeconds: 4,
      problems: [],
    },
    agents: [
      { name: "broker", kind: "broker", pid: 12, did: "directory of 6 agents" },
      { name: "worker-1", kind: "worker", pid: 12345, did: "3 tasks", tasks: 3, busyMs: 1_500, share: 0.75 },
    ],
    timings,
    columns,
    colors,
  });
}

test("the report is answer, sources, who did what, and how long it took", () => {
  expect(report(100)).toEqual([
    "What do bees make?",
    "",
    "  Bees make honey in hives and many other things that take a while to say. [1]",
    "      bees --make honey",
    "",
    "Sources",
    "  [1] bees.md:3 — Bees › Food",
    "",
    'Not found in what was read: "zebras"',
    "",
    "Who did what",
    "  process     pid  did                     busy  share",
    "  broker       12  directory of 6 agents",
    "  worker-1  12345  3 tasks                1.5 s   75 %",
    "",
    "How long it took",
    "  start-up 900 ms · planning 3 ms · indexing 1.2 s · searching 40 ms · answering 0.2 ms · total 12 s",
    "  1 file, 2 passages and 1,234 words read; the answer is read in 4 seconds",
  ]);
});

test("the answer is wrapped between words", () => {
  expect(
    report(42)
      .slice(2, 5)
      .every((line) => line.length <= 42),
  ).toBe(true);
  expect(wrap("a bb ccc", 4)).toEqual(["a bb", "ccc"]);
  expect(wrap("unbreakable", 4)).toEqual(["unbreakable"]);
});

test("progress is one bar and a line for each worker", () => {
  const workers = [
    { name: "worker-1", done: 3, now: ["reading a.md", "reading b.md"], last: "reading c.md" },
    { name: "worker-2", done: 12, now: [], last: "reading d.md" },
    { name: "worker-3", done: 0, now: [], last: undefined },
  ];
  const [first, ...rest] = progressLines({ fraction: 0.5, doneCount: 15, taskCount: 30, workers }, colors);
  expect(first).toMatch(/50 % 15 of 30 tasks$/);
  expect(rest).toEqual([
    "  worker-1    3 done  reading b.md and 1 more",
    "  worker-2   12 done  reading d.md ✓",
    "  worker-3    0 done  waits",
  ]);
});

test("without a terminal progress is told at the quarters", () => {
  const lines: string[] = [];
  const tell = createPlainProgress((line) => lines.push(line));
  for (let doneCount = 0; doneCount <= 100; doneCount++) {
    tell(() => ({ fraction: doneCount / 100, doneCount, taskCount: 100, workers: [] }));
  }
  expect(lines).toEqual([25, 50, 75, 100].map((done) => `${done} of 100 tasks done`));
});

test("a text is measured in words, sentences and seconds", () => {
  expect(measureText("")).toEqual({ words: 0, sentences: 0, readingSeconds: 0 });
  expect(measureText("Bees don't sleep. They rest at night!")).toEqual({ words: 7, sentences: 2, readingSeconds: 2 });
  expect(measureText("just some words").sentences).toBe(1);
});
