import { defineGoal, defineTask, defineTool } from "@soorma/core";
import { type Static, Type } from "@soorma/core/schema";
import { kinds } from "./names.ts";

/** Where passages are kept in memory; the key goes on with `<file>#<number>`. */
export const passagePrefix = "demo/passage/";

/** Consecutive lines of one file under one heading, as they are in the file. */
const passageSchema = Type.Object({
  file: Type.String(),
  /** Of the first line, counted from 1. */
  line: Type.Integer({ minimum: 1 }),
  /** Headings above it, the outermost first, joined by ` › `; empty when there are none. */
  heading: Type.String(),
  text: Type.String(),
});
export type Passage = Static<typeof passageSchema>;

const hitSchema = Type.Object({ ...passageSchema.properties, key: Type.String(), score: Type.Number() });
export type PassageHit = Static<typeof hitSchema>;

const citationSchema = Type.Object({
  /** As `[n]` in the answer. */
  n: Type.Integer({ minimum: 1 }),
  file: Type.String(),
  line: Type.Integer({ minimum: 1 }),
  heading: Type.String(),
  /** What the answer took from there, word for word except for markup. */
  quotes: Type.Array(Type.String()),
});

const answerSchema = Type.Object({
  /** Sentences with their citations, a line each. */
  answer: Type.String(),
  citations: Type.Array(citationSchema),
  /** Words of the question that are in none of the passages found. */
  missing: Type.Array(Type.String()),
});
export type Answer = Static<typeof answerSchema>;

const measureSchema = Type.Object({
  words: Type.Integer({ minimum: 0 }),
  sentences: Type.Integer({ minimum: 0 }),
  readingSeconds: Type.Integer({ minimum: 0 }),
});
export type TextMeasure = Static<typeof measureSchema>;

const indexedSchema = Type.Object({
  file: Type.String(),
  passages: Type.Integer({ minimum: 0 }),
  measure: measureSchema,
  /** Why the file could not be read. */
  problem: Type.Optional(Type.String()),
});
export type Indexed = Static<typeof indexedSchema>;

export const indexing = defineTask({
  name: kinds.indexing,
  description: "Reads a file, splits it into passages and stores them in memory",
  input: Type.Object({ folder: Type.String(), file: Type.String() }),
  output: indexedSchema,
});

export const searching = defineTask({
  name: kinds.searching,
  description: "Finds the passages that fit a query best",
  input: Type.Object({ query: Type.String(), limit: Type.Integer({ minimum: 1, maximum: 1_000 }) }),
  output: Type.Object({ query: Type.String(), hits: Type.Array(hitSchema) }),
});

export const answering = defineTask({
  name: kinds.answering,
  description: "Picks the sentences that answer a question out of what the searches found, and cites them",
  input: Type.Object({ question: Type.String() }),
  output: Type.Object({ ...answerSchema.properties, readingSeconds: Type.Integer({ minimum: 0 }) }),
});

export const measuring = defineTool({
  name: "measure",
  description: "Counts words and sentences of a text and tells how long reading it takes",
  input: Type.Object({ text: Type.String() }),
  output: measureSchema,
});

/** What the tool did so far. */
export const usage = defineTool({
  name: "usage",
  input: Type.Object({}),
  output: Type.Object({ calls: Type.Integer({ minimum: 0 }), busyMs: Type.Number({ minimum: 0 }) }),
});

/** Whoever has it can do {@link measuring}. */
export const textAnalysis = "text_analysis";

export const asking = defineGoal({
  name: "demo.ask",
  description: "Answers a question out of the files of a folder",
  input: Type.Object({
    folder: Type.String(),
    /** Relative to the folder. */
    files: Type.Array(Type.String(), { minItems: 1 }),
    question: Type.String({ minLength: 1 }),
  }),
  output: Type.Object({
    ...answerSchema.properties,
    readingSeconds: Type.Integer({ minimum: 0 }),
    files: Type.Integer({ minimum: 0 }),
    passages: Type.Integer({ minimum: 0 }),
    words: Type.Integer({ minimum: 0 }),
    /** Files that could not be read after all. */
    problems: Type.Array(Type.Object({ file: Type.String(), reason: Type.String() })),
  }),
});
