import type { AgentRecord, Operation, SchemaRecord, SchemaRef } from "@soorma/core";

const contractKinds = ["goal", "task", "tool", "event"] as const;
export type ContractKind = (typeof contractKinds)[number];

type JsonSchema = Readonly<Record<string, unknown>>;

/** What can be asked of the agents of a mesh, or is published by them. */
export interface LiveContract {
  readonly kind: ContractKind;
  readonly name: string;
  /** Semver of the schemas, without what a development version adds to it. Absent when there are no schemas. */
  readonly version: string | undefined;
  readonly description: string | undefined;
  /** Names of the agents that take it, or publish it. */
  readonly agents: readonly string[];
  /** Of an event: its data. */
  readonly input: JsonSchema | undefined;
  readonly output: JsonSchema | undefined;
  /** Of an event. */
  readonly topic: string | undefined;
  readonly retry: Operation["retry"];
  readonly timeoutMs: number | undefined;
  readonly priority: number | undefined;
}

interface Announced {
  readonly kind: ContractKind;
  readonly name: string;
  readonly agent: AgentRecord;
  readonly operation?: Operation;
  readonly input?: SchemaRef;
  readonly output?: SchemaRef;
  readonly topic?: string;
}

/** Events that planners and the mesh itself publish; their data is part of the library. */
function isOwn(type: string): boolean {
  return type.startsWith("system.") || type === "goal.completed" || type === "goal.failed";
}

/**
 * The contracts of the agents, by kind and name. Where agents announce different versions of one, the highest counts; of
 * the same version the one of the agent that was started last.
 */
export function liveContracts(
  agents: readonly AgentRecord[],
  schemas: readonly SchemaRecord[],
): readonly LiveContract[] {
  const byVersion = new Map(schemas.map((schema) => [`${schema.name}@${schema.version}`, schema]));
  const schemaOf = (ref: SchemaRef | undefined): SchemaRecord | undefined =>
    ref && byVersion.get(`${ref.name}@${ref.version}`);
  const groups = Map.groupBy(agents.flatMap(announcedBy), ({ kind, name }) => `${kind} ${name}`);
  const contracts = [...groups.values()].map((announced): LiveContract => {
    const [first] = announced.toSorted(
      (a, b) => compareVersions(versionOf(b), versionOf(a)) || b.agent.startedAtMs - a.agent.startedAtMs,
    ) as [Announced, ...Announced[]];
    const { kind, name, operation, topic } = first;
    const [input, output] = [schemaOf(first.input), schemaOf(first.output)];
    return {
      kind,
      name,
      version: plainVersion(input?.version ?? output?.version),
      description: operation?.description ?? input?.description,
      agents: [...new Set(announced.map(({ agent }) => agent.name))].sort(),
      input: input?.schema,
      output: output?.schema,
      topic,
      retry: operation?.retry,
      timeoutMs: operation?.timeoutMs,
      priority: operation?.priority,
    };
  });
  return contracts.sort(
    (a, b) => contractKinds.indexOf(a.kind) - contractKinds.indexOf(b.kind) || (a.name < b.name ? -1 : 1),
  );
}

function announcedBy(agent: AgentRecord): Announced[] {
  const operations = (kind: ContractKind, list: readonly Operation[]): Announced[] =>
    list.map((operation) => ({
      kind,
      name: operation.name,
      agent,
      operation,
      ...(operation.input ? { input: operation.input } : {}),
      ...(operation.output ? { output: operation.output } : {}),
    }));
  const published = agent.produces.filter(({ type }) => !isOwn(type));
  // Who takes an event may be the only one that has a contract for it.
  const taken = agent.consumes.filter(({ type, schema }) => schema !== undefined && !/[*>]/.test(type));
  return [
    ...operations("goal", agent.goals),
    ...operations("task", agent.tasks),
    ...operations("tool", agent.operations),
    ...[...published, ...taken].map(
      ({ type, topic, schema }): Announced => ({
        kind: "event",
        name: type,
        agent,
        ...(schema ? { input: schema } : {}),
        ...(topic === undefined ? {} : { topic }),
      }),
    ),
  ];
}

function versionOf({ input, output }: Announced): string | undefined {
  return input?.version ?? output?.version;
}

/** One with a version is higher than one without. */
function compareVersions(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return Bun.semver.order(a, b);
}

/** Under `soorma dev` each content of a schema is a version of its own; the contract has the same for all of them. */
function plainVersion(version: string | undefined): string | undefined {
  return version?.replace(/([+.])dev\.[0-9a-z]+$/, "");
}
