import { queryTerms, tokenize } from "@soorma/core/text";
import { relatedTo } from "./related.ts";

/** Parts of a question that are answered on their own, at most; the rest belongs to the last. */
const mostParts = 3;

/** Words that make something a question and say nothing about its subject, as terms. */
const askingTerms: ReadonlySet<string> = new Set(
  queryTerms(
    "each other others another happen happens exactly please tell explain describe mean means actually many much long often " +
      "get gets got let lets thing things way ways possible want wants there",
  ),
);

/** Where a question goes on with another one: ", and what …". */
const joint = /[?;]\s*|,?\s+(?:and|or)\s+(?=(?:what|how|why|when|where|who|which|is|are|does|do|can|will)\b)/i;

/** A word of a question: as it was typed, and the term it is found by. */
export interface KeyWord {
  readonly word: string;
  readonly term: string;
}

/** A question, or a part of it that is answered on its own. */
export interface QuestionPart {
  readonly text: string;
  readonly words: readonly KeyWord[];
  /** A number is asked for: how many, how long. */
  readonly wantsNumber: boolean;
  /** Asks what something is. */
  readonly wantsMeaning: boolean;
}

/** Words about a question's subject, each once, in order. When it has no others, those that make it a question. */
export function keyWords(question: string): KeyWord[] {
  const words = new Map<string, KeyWord>();
  for (const { start, end, terms } of tokenize(question)) {
    for (const term of terms) if (!words.has(term)) words.set(term, { word: question.slice(start, end), term });
  }
  const all = [...words.values()];
  const telling = all.filter(({ term }) => !askingTerms.has(term));
  return telling.length > 0 ? telling : all;
}

/** "How do agents find each other, and what happens when the broker dies?" has two parts. */
export function partsOf(question: string): QuestionPart[] {
  const texts: string[] = [];
  for (const text of question.split(joint)) {
    if (queryTerms(text).every((term) => askingTerms.has(term))) continue;
    if (texts.length < mostParts) texts.push(text.trim());
    else texts.push(`${texts.pop()} ${text.trim()}`);
  }
  return (texts.length > 1 ? texts : [question]).map((text) => ({
    text,
    words: keyWords(text),
    wantsNumber: /\bhow (?:many|much|long|often|large|big|fast|old|far)\b|\bwhen\b.*\b(?:expire|time ?out)/i.test(text),
    wantsMeaning: /^what(?:'s|’s| is| are)\b/i.test(text) && keyWords(text).length <= 2,
  }));
}

/**
 * What to search for: the whole question, and each of its parts, or the halves of its key words when it has only one;
 * what answers one need not mention the other. Related words are searched for, too.
 */
export function queriesFor(question: string): string[] {
  const parts = partsOf(question);
  const groups = parts.length > 1 ? parts.map(({ words }) => words) : halves(keyWords(question));
  return [
    question,
    ...groups.map((words) => words.flatMap(({ word, term }) => [word, ...relatedTo(term).words]).join(" ")),
  ];
}

function halves(words: readonly KeyWord[]): (readonly KeyWord[])[] {
  if (words.length < 4) return [words];
  const middle = Math.ceil(words.length / 2);
  return [words.slice(0, middle), words.slice(middle)];
}

/** The terms words are compared by, without case and common endings. */
export function termsIn(text: string): string[] {
  return queryTerms(text);
}
