import { colorsForStdout } from "../../ui/colors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

interface LsOptions {
  readonly limit?: number;
  readonly after?: string;
  readonly tenant?: string;
  readonly json?: boolean;
}

const defaultLimit = 100;
/** What is shown of a value. */
const mostValue = 200;

export const runLs = oneShot(async ({ args: [prefix = ""], options, io }) => {
  const { limit = defaultLimit, after, tenant, json = false } = options as LsOptions;
  await using client = await connect(io, { tenantId: tenant });
  // One more, to know whether there are more.
  const found = await client.memory.list(prefix, { limit: limit + 1, ...(after === undefined ? {} : { after }) });
  const entries = found.slice(0, limit);
  if (json) {
    io.out(JSON.stringify(entries));
    return undefined;
  }
  const colors = colorsForStdout(io);
  const last = entries.at(-1);
  if (!last) {
    io.err(prefix === "" ? "memory is empty" : `no key begins with ${oneLine(prefix)}`);
    return undefined;
  }
  const now = Date.now();
  const columns = [
    { title: "KEY", least: 16 },
    { title: "VERSION", align: "right", rank: 3 },
    { title: "WRITTEN", align: "right", rank: 2 },
    ...(entries.some(({ expiresAtMs }) => expiresAtMs !== undefined)
      ? [{ title: "LEFT", align: "right", rank: 1 } as const]
      : []),
    { title: "VALUE", least: 8 },
  ] as const;
  const hasExpiry = columns.length > 4;
  const rows = entries.map(({ key, value, version, updatedAtMs, expiresAtMs }) => [
    oneLine(key),
    String(version),
    `${formatDuration(now - updatedAtMs)} ago`,
    ...(hasExpiry ? [expiresAtMs === undefined ? "–" : formatDuration(expiresAtMs - now)] : []),
    colors.dim(oneLine((JSON.stringify(value) ?? "null").slice(0, mostValue))),
  ]);
  for (const line of table(columns, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors }))
    io.out(line);
  if (found.length > limit) io.err(colors.dim(`there are more: --after '${oneLine(last.key)}' shows them`));
  return undefined;
});
