import type { Answer, PassageHit } from "./contracts.ts";
import { type KeyWord, keyWords, partsOf, type QuestionPart, termsIn } from "./question.ts";
import { relatedTo } from "./related.ts";
import { type Sentence, sentencesOf } from "./sentences.ts";

/** How much the place in a list counts against being in several lists; the usual value. */
const rankDamping = 60;
/** Passages whose sentences are looked at. */
const passagesRead = 80;
/** Sentences for a question; with several parts each has fewer. */
const mostSentences = 4;
const mostSentencesEach = 3;
/** What a second source has to score, as a part of the best sentence. */
const worthAdding = 0.5;
/** A sentence is left out when it scores less than this part of the best one. */
const worthSaying = 0.5;
/** Sentences that share more than this part of their words say the same. */
const sameAs = 0.6;
/** A related word instead of the one that was asked with. */
const relatedWorth = 0.7;
/** A word as part of code: `find(capability)` is not about finding. */
const codeWorth = 0.5;
/** More of a section that the answer quotes already reads better than a bit of another one. */
const sectionWorth = 1.2;
/** A word in the headings above. */
const headingWorth = 0.4;
/** A word in the heading right above, when that has all that was asked for: what a section begins with answers it. */
const titleWorth = [0.95, 0.8, 0.65, 0.5];

export interface RankedPassage {
  readonly hit: PassageHit;
  readonly score: number;
}

/**
 * One ranking out of several, by reciprocal rank: scores of different queries do not compare, places do. The first
 * list, of the whole question, counts double.
 *
 * @see https://doi.org/10.1145/1571941.1572114
 */
export function mergeHits(lists: readonly (readonly PassageHit[])[]): RankedPassage[] {
  const merged = new Map<string, { hit: PassageHit; score: number }>();
  lists.forEach((hits, list) => {
    hits.forEach((hit, rank) => {
      const known = merged.get(hit.key) ?? { hit, score: 0 };
      known.score += (list === 0 ? 2 : 1) / (rankDamping + rank + 1);
      merged.set(hit.key, known);
    });
  });
  return [...merged.values()].sort(
    (a, b) => b.score - a.score || a.hit.file.localeCompare(b.hit.file, "en") || a.hit.line - b.hit.line,
  );
}

interface Candidate extends Sentence {
  readonly terms: ReadonlySet<string>;
  /** Those of {@link Candidate.terms} that are not only in code. */
  readonly proseTerms: ReadonlySet<string>;
  readonly headingTerms: ReadonlySet<string>;
  /** Of the heading right above. */
  readonly titleTerms: ReadonlySet<string>;
  readonly openingTerms: ReadonlySet<string>;
  readonly words: number;
  /** Part of its characters that is code, from 0 to 1. */
  readonly codeShare: number;
  /** Part of its characters outside code that only code is full of, from 0 to 1. */
  readonly symbolShare: number;
  /** 0 to 1: the passage's place among the others. */
  readonly passage: number;
  /** The sentence before it in its passage, when this one refers to it. */
  readonly antecedent: Sentence | undefined;
}

/** "It does so, too." needs the sentence before. */
const refersBack =
  /^(?:it|its|they|their|them|this|these|those|that|both|such|then|so|there|here|otherwise|either|neither)\b/i;
const longestAntecedentWords = 32;

/** Answers a question with sentences out of the passages found, each with its place. The same hits give the same answer. */
export function writeAnswer(question: string, lists: readonly (readonly PassageHit[])[]): Answer {
  const ranked = mergeHits(lists).slice(0, passagesRead);
  const candidates = candidatesOf(ranked);
  const found = new Set(ranked.flatMap(({ hit }) => termsIn(`${hit.heading} ${hit.text}`)));
  const missing = missingOf(keyWords(question), found);
  const parts = partsOf(question);
  const chosen: Candidate[] = [];
  for (const part of parts) choose(part, candidates, chosen, parts.length > 1 ? mostSentencesEach : mostSentences);
  // What only one file says is worth checking in another.
  const [file, ...others] = new Set(chosen.map((candidate) => candidate.file));
  if (file !== undefined && others.length === 0) corroborate(question, candidates, chosen, file);
  if (chosen.length === 0) return { answer: "Nothing that was read answers this.", citations: [], missing };
  return { ...cite(chosen), missing };
}

/** Words none of whose terms, and nothing that may stand for them, was found. */
function missingOf(words: readonly KeyWord[], found: ReadonlySet<string>): string[] {
  const isFound = ({ term }: KeyWord): boolean => [term, ...relatedTo(term).terms].some((any) => found.has(any));
  const there = new Set(words.filter(isFound).map(({ word }) => word));
  return [...new Set(words.map(({ word }) => word))].filter((word) => !there.has(word));
}

function candidatesOf(ranked: readonly RankedPassage[]): Candidate[] {
  const best = ranked[0]?.score ?? 1;
  const seen = new Set<string>();
  return ranked.flatMap(({ hit, score }) => {
    const headingTerms = new Set(termsIn(hit.heading));
    const titleTerms = new Set(termsIn(hit.heading.split(" › ").at(-1) ?? ""));
    return sentencesOf(hit).flatMap((sentence, index, all): Candidate[] => {
      const { text } = sentence;
      const key = text.toLowerCase();
      if (seen.has(key)) return [];
      seen.add(key);
      const prose = text.replace(/`[^`]*`/g, " ");
      return [
        {
          ...sentence,
          terms: new Set(termsIn(text)),
          proseTerms: new Set(termsIn(prose)),
          headingTerms,
          titleTerms,
          openingTerms: new Set(termsIn(text.split(/\s+/, 4).join(" "))),
          words: text.split(/\s+/).length,
          codeShare: 1 - prose.length / text.length,
          symbolShare: (prose.match(/[{}[\]()<>=;|#$\\/]/g)?.length ?? 0) / text.length,
          passage: score / best,
          antecedent: refersBack.test(text) ? antecedentOf(all[index - 1]) : undefined,
        },
      ];
    });
  });
}

function antecedentOf(before: Sentence | undefined): Sentence | undefined {
  const isShort = before && before.code.length === 0 && before.text.split(/\s+/).length <= longestAntecedentWords;
  return isShort ? before : undefined;
}

/** What a part of the question asks for: each of its terms with what may stand for it, and what it is worth. */
interface Wanted {
  readonly term: string;
  readonly related: readonly string[];
  readonly weight: number;
}

function wantedOf(part: QuestionPart, candidates: readonly Candidate[]): Wanted[] {
  return part.words.map(({ term }) => {
    const related = relatedTo(term).terms;
    return { term, related, weight: rarity([term, ...related], candidates) };
  });
}

/** Adds the best sentences for a part: each next one is worth more the more it adds of what was asked for. */
function choose(part: QuestionPart, candidates: readonly Candidate[], chosen: Candidate[], most: number): void {
  const wanted = wantedOf(part, candidates);
  const covered = new Map<string, number>();
  const left = new Set(candidates.filter((candidate) => !chosen.includes(candidate)));
  let added = 0;
  let bestScore = 0;
  while (added < most) {
    let best: { candidate: Candidate; score: number } | undefined;
    for (const candidate of left) {
      const isNear = chosen.some(({ file, heading }) => file === candidate.file && heading === candidate.heading);
      const score = scoreOf(candidate, part, wanted, covered) * (isNear ? sectionWorth : 1);
      if (score > 0 && (!best || score > best.score)) best = { candidate, score };
    }
    if (!best || best.score < bestScore * worthSaying) return;
    const { candidate } = best;
    left.delete(candidate);
    if (chosen.some((other) => overlap(other.terms, candidate.terms) > sameAs)) continue;
    bestScore = Math.max(bestScore, best.score);
    chosen.push(candidate);
    added++;
    for (const want of wanted) {
      if (matchOf(candidate, want) > 0) covered.set(want.term, (covered.get(want.term) ?? 0) + 1);
    }
  }
}

/** Adds the sentence of another file that has most of what was asked for, if it has much of it. */
function corroborate(question: string, candidates: readonly Candidate[], chosen: Candidate[], file: string): void {
  const whole = { text: question, words: keyWords(question), wantsNumber: false, wantsMeaning: false };
  const wanted = wantedOf(whole, candidates);
  const score = (candidate: Candidate): number => scoreOf(candidate, whole, wanted, new Map());
  const least = Math.max(...chosen.map(score)) * worthAdding;
  let best: { candidate: Candidate; score: number } | undefined;
  for (const candidate of candidates) {
    if (candidate.file === file || candidate.isRow) continue;
    if (chosen.some((other) => overlap(other.terms, candidate.terms) > sameAs)) continue;
    const own = score(candidate);
    if (own > least && own > (best?.score ?? 0)) best = { candidate, score: own };
  }
  if (best) chosen.push(best.candidate);
}

/** How well a sentence has a term, from 0 to 1. */
function matchOf({ terms, proseTerms }: Candidate, { term, related }: Wanted): number {
  if (terms.has(term)) return proseTerms.has(term) ? 1 : codeWorth;
  return related.some((other) => proseTerms.has(other)) ? relatedWorth : 0;
}

function scoreOf(
  candidate: Candidate,
  { wantsNumber, wantsMeaning }: QuestionPart,
  wanted: readonly Wanted[],
  covered: ReadonlyMap<string, number>,
): number {
  const { text, words, headingTerms, titleTerms } = candidate;
  const isTitled = wanted.every(({ term, related }) => [term, ...related].some((any) => titleTerms.has(any)));
  const titled = isTitled ? (titleWorth[candidate.position] ?? 0) : 0;
  let score = 0;
  let matched = 0;
  let weight = 0;
  let before = false;
  for (const want of wanted) {
    const worth = want.weight * 0.6 ** (covered.get(want.term) ?? 0);
    const match = Math.max(matchOf(candidate, want), titled);
    weight += want.weight;
    score += worth * Math.max(match, headingTerms.has(want.term) ? headingWorth : 0);
    matched += want.weight * match;
    // Neighbours in the question that are both here belong together.
    if (match > 0 && before) score += worth * 0.15;
    before = match > 0;
  }
  if (matched === 0 || weight === 0) return 0;
  // All that was asked for in one sentence is more than the sum of its words.
  score *= 0.45 + (0.55 * matched) / weight;
  score *= 0.55 + 0.45 * candidate.passage;
  if (wanted.some(({ term }) => candidate.openingTerms.has(term))) score *= 1.15;
  if (candidate.position === 0) score *= 1.06;
  if (candidate.position === 0 && wantsMeaning && isTitled) score *= 1.4;
  // A row is found by its names, and seldom explains.
  if (candidate.isRow) score *= 0.85;
  if (wantsNumber) score *= /\d/.test(text) ? 1.3 : 0.8;
  if (words < 6) score *= 0.4 + words * 0.1;
  else if (words > 36) score *= 36 / words;
  score *= 1 - 0.6 * Math.max(0, candidate.codeShare - 0.25);
  // Code that is not marked as such.
  score *= 1 - Math.min(0.8, 8 * Math.max(0, candidate.symbolShare - 0.05));
  // Nobody knows what "it" is without the sentence before.
  if (refersBack.test(text) && candidate.position > 0) score *= candidate.antecedent ? 0.92 : 0.7;
  // A question in a text is a heading or a promise, and so is what ends with a colon.
  if (/[?？]$/.test(text)) score *= 0.5;
  if (/[:：]$/.test(text) && candidate.code.length === 0) score *= 0.4;
  return score;
}

/** The fewer sentences have any of the terms, the more they tell. */
function rarity(terms: readonly string[], candidates: readonly Candidate[]): number {
  const holders = candidates.filter((candidate) => terms.some((term) => candidate.terms.has(term))).length;
  return holders === 0 ? 0 : 0.4 + Math.log(1 + (candidates.length - holders + 0.5) / (holders + 0.5));
}

function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const smaller = Math.min(a.size, b.size);
  return smaller === 0 ? 0 : [...a].filter((term) => b.has(term)).length / smaller;
}

/** Sentences of one section stay together, in their order; sections come as their best sentence was chosen. */
function cite(chosen: readonly Candidate[]): Pick<Answer, "answer" | "citations"> {
  const sections = new Map<string, Candidate[]>();
  for (const candidate of chosen) {
    const key = JSON.stringify([candidate.file, candidate.heading]);
    sections.set(key, [...(sections.get(key) ?? []), candidate]);
  }
  const lines: string[] = [];
  const citations = [...sections.values()].map((section, index) => {
    const n = index + 1;
    const ordered = withAntecedents(section).sort((a, b) => a.line - b.line || a.position - b.position);
    const [first] = ordered;
    lines.push(`${ordered.map(({ text }) => ended(text)).join(" ")} [${n}]`);
    for (const line of ordered.flatMap(({ code }) => code)) lines.push(`    ${line}`);
    return {
      n,
      file: first?.file ?? "",
      line: first?.line ?? 1,
      heading: first?.heading ?? "",
      quotes: ordered.map(({ text, code }) => [text, ...code].join("\n")),
    };
  });
  return { answer: lines.join("\n"), citations };
}

function withAntecedents(section: readonly Candidate[]): Sentence[] {
  const said = new Set(section.map(({ text }) => text));
  const needed = section.flatMap(({ antecedent }) => (antecedent && !said.has(antecedent.text) ? [antecedent] : []));
  return [...section, ...new Set(needed)];
}

/** Items and table rows have no full stop, and need one among sentences. */
function ended(text: string): string {
  return /[.!?:…。！？：]["'”’)\]]*$/.test(text) ? text : `${text}.`;
}
