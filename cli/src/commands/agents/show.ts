import type { AgentRecord, Client, SchemaRecord } from "@soorma/core";
import { drawCard, type Instance, refText } from "../../inspect/agent-card.ts";
import { watchProcesses } from "../../inspect/processes.ts";
import { colorsForStdout } from "../../ui/colors.ts";
import { CommandError } from "../../ui/errors.ts";
import { suggest } from "../../ui/suggest.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

export const runShow = oneShot(async ({ args: [given = ""], options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect(io);
  const records = await findAgent(client, given);
  const name = records[0]?.name ?? given;
  const [processes, schemas, metrics] = await Promise.all([
    watchProcesses(client).look(io.signal),
    schemasOf(client, records),
    metricsOf(client, name),
  ]);
  const instances = records.map((record): Instance => {
    const process = processes.find(({ nodeId }) => nodeId === record.nodeId);
    const stats = process?.stats?.agents.find(({ agentId }) => agentId === record.agentId);
    return { record, ...(process ? { process } : {}), ...(stats ? { stats } : {}) };
  });
  if (json) {
    const [first] = records;
    io.out(
      JSON.stringify({
        name,
        kind: first?.kind,
        version: first?.version,
        description: first?.description,
        instances: instances.map(({ record, process, stats }) => ({
          ...record,
          ...(process?.rssBytes === undefined ? {} : { rssBytes: process.rssBytes }),
          ...(stats ? { stats } : {}),
        })),
        schemas: [...schemas.values()],
        ...(metrics ? { metrics } : {}),
      }),
    );
    return undefined;
  }
  const width = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  const card = { name, instances, schemas, ...(metrics ? { metrics } : {}) };
  for (const line of drawCard(card, { width, colors: colorsForStdout(io), nowMs: Date.now() })) io.out(line);
  return undefined;
});

/** Every instance of the agent that is meant by its name, or the one instance that is meant by its id. */
async function findAgent(client: Client, given: string): Promise<AgentRecord[]> {
  const all = (await client.registry.query({}))
    .map(({ record }) => record)
    .filter(({ agentId }) => agentId !== client.agentId);
  const found = all.filter(({ name }) => name === given);
  if (found.length > 0) return found;
  const byId = all.filter(({ agentId }) => agentId === given);
  if (byId.length > 0) return byId;
  const capable = all.filter(({ capabilities }) => capabilities.includes(given)).map(({ name }) => name);
  throw new CommandError("AGENT_NOT_FOUND", `no agent "${given}" runs`, {
    hint:
      capable.length > 0
        ? `${given} is a capability, of ${[...new Set(capable)].join(", ")}`
        : suggest(
            given,
            all.map(({ name }) => name),
            "`soorma agents` lists those that run",
          ),
  });
}

async function schemasOf(client: Client, records: readonly AgentRecord[]): Promise<Map<string, SchemaRecord>> {
  const refs = records
    .flatMap(({ goals, tasks, operations, consumes, produces }) => [
      ...[...goals, ...tasks, ...operations].flatMap(({ input, output }) => [input, output]),
      ...[...consumes, ...produces].map(({ schema }) => schema),
    ])
    .flatMap((ref) => (ref ? [ref] : []));
  const wanted = new Map(refs.map((ref) => [refText(ref), ref]));
  const found = await Promise.all(
    [...wanted.values()].map(({ name, version }) => client.registry.querySchemas({ name, version })),
  );
  // A range might name several; a version names itself.
  return new Map(found.flat().map((schema) => [refText(schema), schema]));
}

/** How its attempts at tasks ended; nothing where there is no state node to say. */
async function metricsOf(client: Client, agentName: string) {
  if ((await client.registry.query({ name: "state", kind: "service" })).length === 0) return undefined;
  const [metrics] = await client.tracker.metrics({ agentName });
  return metrics;
}
