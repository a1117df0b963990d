import { expect, test } from "bun:test";
import { mergeHits, writeAnswer } from "./answer.ts";
import type { PassageHit } from "./contracts.ts";
import { keyWords, partsOf, queriesFor } from "./question.ts";

let number = 0;
const hit = (text: string, rest: Partial<PassageHit> = {}): PassageHit => ({
  file: "a.md",
  line: 1,
  heading: "",
  key: `k${++number}`,
  score: 1,
  ...rest,
  text,
});

const bees = hit("Bees make honey in hives.", { file: "bees.md", line: 3, heading: "Bees" });
const tea = hit("Tea is made of leaves. It is served hot.", { file: "tea.md", line: 7, heading: "Tea" });
const noise = hit("A colony has a queen, drones and workers.", { file: "bees.md", line: 9, heading: "Bees" });

test("the answer is the sentence that has what was asked for, and says where it is", () => {
  const { answer, citations, missing } = writeAnswer("What do bees make?", [[noise, bees, tea]]);
  expect(answer).toBe("Bees make honey in hives. [1]");
  expect(citations).toEqual([
    { n: 1, file: "bees.md", line: 3, heading: "Bees", quotes: ["Bees make honey in hives."] },
  ]);
  expect(missing).toEqual([]);
});

test("each part of a question is answered", () => {
  const { answer, citations } = writeAnswer("What do bees make, and what is tea made of?", [[noise, bees, tea]]);
  expect(answer.split("\n")).toEqual(["Bees make honey in hives. [1]", "Tea is made of leaves. [2]"]);
  expect(citations.map(({ file, line }) => [file, line])).toEqual([
    ["bees.md", 3],
    ["tea.md", 7],
  ]);
});

test("what refers back is quoted with the sentence before it", () => {
  const { answer } = writeAnswer("Is it served hot?", [[tea, bees]]);
  expect(answer).toBe("Tea is made of leaves. It is served hot. [1]");
});

test("what one file alone says is backed by another one that has as much to say", () => {
  const one = hit("When the broker dies, agents go on.", { file: "one.md" });
  const two = hit("A dead broker only keeps new agents from being found by others.", { file: "two.md" });
  const { citations } = writeAnswer("What happens to agents when the broker dies?", [[one, two, noise]]);
  expect(citations.map(({ file }) => file)).toEqual(["one.md", "two.md"]);
});

test("the same thing said twice is said once", () => {
  const again = hit("Bees make honey in hives!", { file: "c.md" });
  const almost = hit("In hives bees make their honey.", { file: "d.md" });
  const { citations } = writeAnswer("What do bees make?", [[bees, again, almost]]);
  expect(citations).toHaveLength(1);
});

test("nothing found is said so, with the words that are nowhere", () => {
  expect(writeAnswer("What do zebras eat?", [[], []])).toEqual({
    answer: "Nothing that was read answers this.",
    citations: [],
    missing: ["zebras", "eat"],
  });
  expect(writeAnswer("Do bees eat zebras?", [[bees]]).missing).toEqual(["eat", "zebras"]);
});

test("in a language without spaces a sentence is found by parts of it", () => {
  const { answer, missing } = writeAnswer("蜂は何を作る", [[bees, hit("蜂は巣に住む。蜂は蜜を作る。")]]);
  expect(answer).toBe("蜂は蜜を作る。 [1]");
  expect(missing).toEqual([]);
});

test("a word that means the same is not missing", () => {
  const crash = hit("When the broker is killed, agents go on.");
  const { answer, missing } = writeAnswer("What happens when the broker dies?", [[bees, crash]]);
  expect(answer).toContain("When the broker is killed, agents go on. [1]");
  expect(missing).toEqual([]);
});

test("the answer does not depend on how often it is asked", () => {
  const lists = [
    [noise, bees, tea],
    [tea, noise],
  ];
  const first = writeAnswer("How is honey made of tea?", lists);
  for (let i = 0; i < 5; i++) expect(writeAnswer("How is honey made of tea?", lists)).toEqual(first);
});

test("what several searches find comes before what one finds", () => {
  const merged = mergeHits([
    [tea, noise],
    [bees, noise],
    [bees, noise],
  ]);
  expect(merged.map(({ hit: { key } }) => key)).toEqual([noise.key, bees.key, tea.key]);
});

test("a question is searched for as a whole and in two to three parts", () => {
  expect(queriesFor("What do bees make, and what is tea?")).toEqual([
    "What do bees make, and what is tea?",
    "bees make",
    "tea",
  ]);
  for (const question of [
    "tea",
    "How do agents find each other, and what happens when the broker dies?",
    "How large may a message between two agents be by default?",
    "What is a? And what is b? And what is c? And what is d? And what is e?",
  ]) {
    expect(queriesFor(question).length).toBeGreaterThanOrEqual(2);
    expect(queriesFor(question).length).toBeLessThanOrEqual(4);
  }
});

test("words that only make a question are not searched for", () => {
  expect(keyWords("What happens when many agents find each other?").map(({ word }) => word)).toEqual([
    "agents",
    "find",
  ]);
  expect(keyWords("What is it?")).toEqual([]);
  expect(partsOf("How long is a lease?")).toMatchObject([{ words: [{ word: "lease" }], wantsNumber: true }]);
});
