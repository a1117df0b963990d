/**
 * All figures in one run, each beside its peer: `bun run bench [transport|request|failover|steps|recovery|recording|start|reload …]`.
 *
 * The machine is shared with whatever else runs on it, so the ratios are the figures to quote.
 */
import { run as failover } from "./failover.ts";
import { run as recording } from "./recording.ts";
import { run as recovery } from "./recovery.ts";
import { run as reload } from "./reload.ts";
import { run as request } from "./request.ts";
import { run as start } from "./start.ts";
import { run as steps } from "./steps.ts";
import { type BenchRow, run as transport } from "./transport.ts";

const benches: Readonly<Record<string, () => Promise<BenchRow[]>>> = {
  transport: () => transport(),
  request,
  failover: () => failover(),
  steps: () => steps(),
  recovery,
  recording,
  start: () => start(),
  reload: () => reload(),
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`no bench ${unknown.join(", ")}; there are: ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}

const rows: BenchRow[] = [];
for (const [name, bench] of Object.entries(benches)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.error(`measuring ${name} …`);
  rows.push(...(await bench()));
}
const table = rows.map(({ name, unit, ours, theirs, ratio, target, verdict }) => [
  name,
  `${figure(ours)} ${unit}`,
  Number.isNaN(theirs) ? "" : `${figure(theirs)} ${unit}`,
  Number.isFinite(ratio) ? `${ratio.toFixed(2)} times better` : "",
  target === undefined ? (verdict ?? "") : ratio >= target ? `at least ${target}: yes` : `at least ${target}: NO`,
]);
const head = ["", "Soorma", "peer", "ratio", "target"];
const widths = head.map((title, i) => Math.max(title.length, ...table.map((row) => row[i]?.length ?? 0)));
for (const row of [head, ...table])
  console.log(
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );

function figure(value: number): string {
  if (value === 0) return "0";
  return value >= 1_000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
