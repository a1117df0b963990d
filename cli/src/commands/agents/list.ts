import type { AgentKind, AgentRecord } from "@soorma/core";
import { colorsForStdout } from "../../ui/colors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

interface ListOptions {
  readonly kind?: AgentKind;
  readonly capability?: string;
  readonly json?: boolean;
}

export const runList = oneShot(async ({ options, io }) => {
  const { kind, capability, json = false } = options as ListOptions;
  await using client = await connect(io);
  const found = await client.registry.query({
    ...(kind === undefined ? {} : { kind }),
    ...(capability === undefined ? {} : { capability }),
  });
  // This command is in the mesh as long as it runs.
  const records = found.map(({ record }) => record).filter(({ agentId }) => agentId !== client.agentId);
  const agents = [...Map.groupBy(records, ({ name }) => name)].map(([name, instances]) => summaryOf(name, instances));
  if (json) {
    io.out(JSON.stringify(agents));
    return undefined;
  }
  if (agents.length === 0) {
    io.err(kind === undefined && capability === undefined ? "no agent runs" : "no such agent runs");
    return undefined;
  }
  const colors = colorsForStdout(io);
  const columns = [
    { title: "AGENT" },
    { title: "TYPE", rank: 1 },
    { title: "INST", align: "right", rank: 2 },
    { title: "CAPABILITIES", least: 12 },
    { title: "DESCRIPTION", least: 12, rank: 3 },
  ] as const;
  const rows = agents.map(({ name, kind: type, instances, ready, capabilities, description }) => [
    name,
    type,
    ready === instances.length ? String(instances.length) : colors.yellow(`${ready}/${instances.length}`),
    capabilities.join(", "),
    colors.dim(oneLine(description)),
  ]);
  for (const line of table(columns, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors }))
    io.out(line);
  return undefined;
});

function summaryOf(name: string, records: readonly AgentRecord[]) {
  const [first] = records;
  return {
    name,
    kind: first?.kind ?? "client",
    version: first?.version ?? "",
    description: first?.description ?? "",
    capabilities: [...new Set(records.flatMap(({ capabilities }) => capabilities))],
    ready: records.filter(({ ready }) => ready).length,
    instances: records.map(({ agentId, host, pid, ready, startedAtMs }) => ({
      agentId,
      host,
      pid,
      ready,
      startedAtMs,
    })),
  };
}
