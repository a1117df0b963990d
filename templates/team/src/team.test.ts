import { expect, test } from "bun:test";
import { writeAnswer } from "./answer.ts";
import { readingTime } from "./reading-time.ts";
import { searchNotes } from "./search.ts";

const notes = [
  { file: "bees.md", text: "# Bees\n\nBees find flowers by their smell.\n\nA colony has one queen." },
  { file: "tea.md", text: "Green tea is not boiled." },
];

test("the paragraph with most of the question's words comes first", () => {
  expect(searchNotes(notes, { question: "How do bees find flowers?" })[0]).toEqual({
    file: "bees.md",
    text: "Bees find flowers by their smell.",
    score: 3,
  });
});

test("an answer names its sources", () => {
  const passages = searchNotes(notes, { question: "Is tea boiled?" });
  expect(writeAnswer(passages)).toEqual({ answer: "Green tea is not boiled.", sources: ["tea.md"] });
});

test("finding nothing is an answer, too", () => {
  expect(writeAnswer(searchNotes(notes, { question: "Zebras?" })).sources).toEqual([]);
});

test("reading takes a second for four words", () => {
  expect(readingTime({ text: "one two three four five" })).toEqual({ seconds: 2 });
});
