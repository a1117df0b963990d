import { colorsForStdout } from "../../ui/colors.ts";
import { columns } from "../../ui/columns.ts";
import { formatDuration } from "../../ui/time.ts";
import type { RunCommand } from "../spec.ts";
import { connect } from "./find.ts";

export const runAgents: RunCommand = async ({ options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect();
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
    agentName,
    String(count),
    failures > 0 ? colors.red(String(failures)) : "0",
    formatDuration(medianMs),
    formatDuration(p95Ms),
  ]);
  for (const line of columns([
    ["AGENT", "TASKS", "FAILED", "MEDIAN", "P95"].map((word) => colors.dim(word)),
    ...rows,
  ])) {
    io.out(line);
  }
  return undefined;
};
