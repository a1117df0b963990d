/** One choice for each question. */
export type Row = Readonly<Record<string, string>>;

/** Every way to answer all the questions. */
export function product(questions: Readonly<Record<string, readonly string[]>>): Row[] {
  return Object.entries(questions).reduce<Row[]>(
    (rows, [question, answers]) => rows.flatMap((row) => answers.map((answer) => ({ ...row, [question]: answer }))),
    [{}],
  );
}

/** Some of the rows, in which every pair of answers is that is in any of them. */
export function coveringPairs(rows: readonly Row[]): Row[] {
  const left = new Set(rows.flatMap(pairsOf));
  const chosen: Row[] = [];
  while (left.size > 0) {
    let best: readonly string[] = [];
    let row: Row = {};
    for (const candidate of rows) {
      const news = pairsOf(candidate).filter((pair) => left.has(pair));
      if (news.length > best.length) [best, row] = [news, candidate];
    }
    for (const pair of best) left.delete(pair);
    chosen.push(row);
  }
  return chosen;
}

export function pairsOf(row: Row): string[] {
  const answers = Object.entries(row).map(([question, answer]) => `${question}=${answer}`);
  return answers.flatMap((one, index) => answers.slice(index + 1).map((other) => `${one} ${other}`));
}
