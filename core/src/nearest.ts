/**
 * The candidate a person most likely meant by `word`, if one is close enough.
 *
 * Close means at most a third of the longer word's characters inserted, deleted, replaced or swapped with their
 * neighbour, ignoring case; or that one is the beginning of the other (three characters or more).
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

function scoreOf(a: string, b: string): number {
  const longer = Math.max(a.length, b.length);
  const distance = editDistance(a, b);
  if (distance <= Math.max(1, Math.floor(longer / 3)) && distance < longer) return distance;
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  // Behind every typo: a prefix is a weaker hint than a slip of the finger.
  if (short.length >= 3 && long.startsWith(short)) return longer;
  return Number.POSITIVE_INFINITY;
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
