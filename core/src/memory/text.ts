/** Longest word in the index; what is longer is cut. */
const maxTermLength = 48;
/** Text of one entry beyond this many characters is stored and not searched. */
export const maxIndexedChars = 1_000_000;

const word = /[\p{L}\p{N}\p{M}]+(?:['’]\p{L}+)*/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
const ascii = /^[\x00-\x7f]*$/;
/** Scripts written without spaces: their runs are indexed by characters and pairs of them. */
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]+/gu;
const accents = /[\u0300-\u036f]/g;

const stopWords = new Set(
  (
    "a about also am an and any are as at be because been but by can could did do does for from had has have he her " +
    "his how i if in into is it its just may me my no not of on or our she should so some than that the their them " +
    "then there these they this those to too us was we were what when where which while who why will with would you your"
  ).split(" "),
);

/** A word of a text, and the terms it is found by. */
export interface Token {
  readonly start: number;
  readonly end: number;
  readonly terms: readonly string[];
}

/** The words of a text in order, without stop words. */
export function* tokenize(text: string): Generator<Token> {
  for (const match of text.matchAll(word)) {
    const terms = termsOf(match[0]);
    if (terms.length > 0) yield { start: match.index, end: match.index + match[0].length, terms };
  }
}

/** The distinct terms of a query. */
export function queryTerms(query: string): string[] {
  const terms = new Set<string>();
  for (const token of tokenize(query)) for (const term of token.terms) terms.add(term);
  return Array.from(terms);
}

/** How often each term occurs in a text. */
export function countTerms(texts: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const match of text.matchAll(word)) {
      for (const term of termsOf(match[0])) counts.set(term, (counts.get(term) ?? 0) + 1);
    }
  }
  return counts;
}

/** All text inside a value: strings, however deep, up to {@link maxIndexedChars} together. */
export function textsOf(value: unknown): string[] {
  const texts: string[] = [];
  let left = maxIndexedChars;
  const visit = (inner: unknown, depth: number): void => {
    if (left <= 0 || depth > 100) return;
    if (typeof inner === "string") {
      const text = inner.length > left ? inner.slice(0, left) : inner;
      left -= text.length;
      if (text !== "") texts.push(text);
    } else if (Array.isArray(inner)) {
      for (const item of inner) visit(item, depth + 1);
    } else if (typeof inner === "object" && inner !== null && !ArrayBuffer.isView(inner)) {
      for (const item of Object.values(inner)) visit(item, depth + 1);
    }
  };
  visit(value, 0);
  return texts;
}

function termsOf(raw: string): readonly string[] {
  if (ascii.test(raw)) return plainTerm(raw.toLowerCase());
  const folded = raw.normalize("NFKD").replaceAll(accents, "").normalize("NFC").toLowerCase().replaceAll("’", "'");
  if (!folded.match(unspaced)) return plainTerm(folded);
  const terms: string[] = [];
  let end = 0;
  for (const run of folded.matchAll(unspaced)) {
    if (run.index > end) terms.push(...plainTerm(folded.slice(end, run.index)));
    const characters = Array.from(run[0]);
    for (const [i, character] of characters.entries()) {
      terms.push(character);
      if (i > 0) terms.push(`${characters[i - 1]}${character}`);
    }
    end = run.index + run[0].length;
  }
  if (end < folded.length) terms.push(...plainTerm(folded.slice(end)));
  return terms;
}

function plainTerm(lower: string): readonly string[] {
  const bare = lower.endsWith("'s") ? lower.slice(0, -2) : lower.replaceAll("'", "");
  if (bare === "" || stopWords.has(bare)) return [];
  return [stem(bare).slice(0, maxTermLength).toWellFormed()];
}

const asciiWord = /^[a-z]{3,}$/;
const vowel = /[aeiouy]/;

/**
 * Takes common English endings off: plurals, -ing, -ed, -ly, a last e. Deliberately less than Porter's stemmer: what it
 * makes equal are forms of one word (plan, plans, planned, planning), not relatives (plan, planner).
 */
export function stem(term: string): string {
  if (!asciiWord.test(term)) return term;
  let base = term;
  if (base.endsWith("sses")) base = base.slice(0, -2);
  else if (base.endsWith("ies") && base.length > 4) base = `${base.slice(0, -3)}y`;
  else if (/(?:x|ch|sh|zz)es$/.test(base)) base = base.slice(0, -2);
  else if (base.length > 3 && base.endsWith("s") && !/(?:ss|us|is)$/.test(base)) base = base.slice(0, -1);

  if (base.endsWith("eed")) {
    // agreed, but feed
    if (vowel.test(base.slice(0, -3))) base = base.slice(0, -1);
  } else {
    const ending = ["edly", "ingly", "ing", "ed"].find((candidate) => base.endsWith(candidate)) ?? "";
    const rest = base.slice(0, base.length - ending.length);
    if (ending !== "" && rest.length >= 2 && vowel.test(rest)) base = undouble(rest);
  }
  if (base.length > 4 && base.endsWith("ly")) base = base.slice(0, -2);
  if (base.length > 2 && base.endsWith("e")) base = base.slice(0, -1);
  if (base.length > 2 && base.endsWith("y") && !vowel.test(base.charAt(base.length - 2)))
    base = `${base.slice(0, -1)}i`;
  return base;
}

/** `plann` (of planning) is plan; `fall`, `pass` and `buzz` stay. */
function undouble(base: string): string {
  const last = base.charAt(base.length - 1);
  if (last !== base.charAt(base.length - 2) || "lsz".includes(last) || vowel.test(last)) return base;
  return base.slice(0, -1);
}

const snippetChars = 240;
/** Beyond this many characters a snippet is not looked for. */
const snippetReach = 200_000;

/** The window of `texts` in which most of the distinct `terms` occur, and among equals most often. */
export function snippetOf(texts: readonly string[], terms: ReadonlySet<string>): string {
  let best = { distinct: 0, hits: 0, text: texts[0] ?? "", start: 0, end: 0 };
  let reach = snippetReach;
  for (const text of texts) {
    if (reach <= 0) break;
    const window: { start: number; end: number; found: readonly string[] }[] = [];
    const counts = new Map<string, number>();
    let hits = 0;
    for (const token of tokenize(text.slice(0, reach))) {
      const found = token.terms.filter((term) => terms.has(term));
      if (found.length === 0) continue;
      window.push({ start: token.start, end: token.end, found });
      for (const term of found) counts.set(term, (counts.get(term) ?? 0) + 1);
      hits++;
      while (window[0] && token.end - window[0].start > snippetChars && window.length > 1) {
        for (const term of window.shift()?.found ?? []) {
          const left = (counts.get(term) ?? 1) - 1;
          if (left > 0) counts.set(term, left);
          else counts.delete(term);
        }
        hits--;
      }
      if (counts.size > best.distinct || (counts.size === best.distinct && hits > best.hits)) {
        best = { distinct: counts.size, hits, text, start: window[0]?.start ?? 0, end: token.end };
      }
    }
    reach -= text.length;
  }
  return cut(best.text, best.start, best.end);
}

/** `text` around [start, end), as whole words, in one line, with marks where something is left out. */
function cut(text: string, start: number, end: number): string {
  const spare = Math.max(0, snippetChars - (end - start));
  let from = Math.max(0, start - (spare >> 1));
  let to = Math.min(text.length, Math.max(end, from + snippetChars));
  from = Math.max(0, Math.min(from, to - snippetChars));
  if (from > 0) {
    const space = text.slice(from, start).search(/\s/);
    if (space >= 0) from += space + 1;
  }
  if (to < text.length) {
    const space = text.slice(end, to).search(/\s\S*$/);
    if (space >= 0) to = end + space;
  }
  const line = text.slice(from, to).toWellFormed().replaceAll(/\s+/g, " ").trim();
  return `${from > 0 ? "…" : ""}${line}${to < text.length ? "…" : ""}`;
}
