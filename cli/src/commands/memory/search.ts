import { colorsForStdout } from "../../ui/colors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

interface SearchOptions {
  readonly prefix?: string;
  readonly limit?: number;
  readonly minScore?: number;
  readonly tenant?: string;
  readonly json?: boolean;
}

export const runSearch = oneShot(async ({ args: [query = ""], options, io }) => {
  const { prefix, limit, minScore, tenant, json = false } = options as SearchOptions;
  await using client = await connect(io, { tenantId: tenant });
  const hits = await client.memory.search(query, {
    ...(prefix === undefined ? {} : { prefix }),
    ...(limit === undefined ? {} : { limit }),
    ...(minScore === undefined ? {} : { minScore }),
  });
  if (json) {
    io.out(JSON.stringify(hits));
    return undefined;
  }
  if (hits.length === 0) {
    io.err(`nothing in memory has a word of “${oneLine(query)}”`);
    return undefined;
  }
  const colors = colorsForStdout(io);
  const columns = [
    { title: "SCORE", align: "right", rank: 1 },
    { title: "KEY", least: 12 },
    { title: "TEXT", least: 12 },
  ] as const;
  const rows = hits.map(({ key, score, snippet }) => [score.toFixed(2), oneLine(key), colors.dim(oneLine(snippet))]);
  for (const line of table(columns, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors }))
    io.out(line);
  return undefined;
});
