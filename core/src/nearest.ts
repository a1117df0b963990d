/**
 * The candidate a person most likely meant by `word`, if one is close enough.
 *
 * Close means at most a third of the longer word's characters inserted, deleted, replaced or swapped with their
 * neighbour, ignoring case; else that the word begins the candidate; else that one is a part of the other, between `-`, `_`,
 * `.`, `:`, `/` or `@`, or close to one (`payments` in `shop-payments`); else that the candidate begins the word. What is
 * the beginning or a part has three characters or more.
 * Of several equally close ones the first wins.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const score = scoreOf(wanted, candidate.toLowerCase());
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

/** Any number of these is behind every slip: a prefix is a weaker hint than a slip of the finger, and a part weaker still. */
const tier = 1_000_000;

function scoreOf(word: string, candidate: string): number {
  const slips = slipsOf(word, candidate);
  if (Number.isFinite(slips)) return slips;
  const [short, long] = word.length < candidate.length ? [word, candidate] : [candidate, word];
  if (short.length < 3) return Number.POSITIVE_INFINITY;
  if (long.startsWith(short)) return (short === word ? tier : 3 * tier) + long.length;
  const parts = partsOf(long).map((part) =>
    part.startsWith(short) ? part.length - short.length : slipsOf(short, part),
  );
  return 2 * tier + Math.min(...parts);
}

/** Slips between two words; infinitely many if they are no slips any more. */
function slipsOf(a: string, b: string): number {
  const longer = Math.max(a.length, b.length);
  const distance = editDistance(a, b);
  return distance <= Math.max(1, Math.floor(longer / 3)) && distance < longer ? distance : Number.POSITIVE_INFINITY;
}

/** One or more of a name's words that stand together, but not all of them. */
function partsOf(name: string): string[] {
  const words = [...name.matchAll(/[^-_.:/@\s]+/g)].map(({ index, 0: { length } }) => [index, index + length] as const);
  return words
    .flatMap(([start], first) => words.slice(first).map(([, end]) => name.slice(start, end)))
    .filter((part) => part.length >= 3 && part !== name);
}

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours count one each. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(replaced, at(last, j) + 1, at(row, j - 1) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(beforeLast, j - 2) + 1);
      }
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}
