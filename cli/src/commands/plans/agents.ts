import { colorsForStdout } from "../../ui/colors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

export const runAgents = oneShot(async ({ options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect(io);
  const metrics = await client.tracker.metrics();
  if (json) {
    io.out(JSON.stringify(metrics));
    return undefined;
  }
  if (metrics.length === 0) {
    io.err("no agent has finished a task yet");
    return undefined;
  }
  const colors = colorsForStdout(io);
  const rows = metrics.map(({ agentName, count, failures, medianMs, p95Ms }) => [
    oneLine(agentName),
    String(count),
    failures > 0 ? colors.red(String(failures)) : "0",
    formatDuration(medianMs),
    formatDuration(p95Ms),
  ]);
  const shown = [
    { title: "AGENT", least: 8 },
    { title: "TASKS", align: "right" },
    { title: "FAILED", align: "right" },
    { title: "MEDIAN", align: "right" },
    { title: "P95", align: "right", rank: 1 },
  ] as const;
  for (const line of table(shown, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors })) io.out(line);
  return undefined;
});
