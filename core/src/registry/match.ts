import type { AgentQuery, AgentRecord, Operation } from "./records.ts";

/**
 * True when every field given in `query` equals the record's.
 *
 * Exact, never a part of a word or a pattern that covers another: `consumes: "order.created"` does not find an agent
 * that announced `order.*`.
 */
export function matchesAgent(record: AgentRecord, query: AgentQuery): boolean {
  return (
    (query.agentId === undefined || record.agentId === query.agentId) &&
    (query.name === undefined || record.name === query.name) &&
    (query.kind === undefined || record.kind === query.kind) &&
    (query.tenant === undefined || record.tenant === query.tenant) &&
    (query.capability === undefined || record.capabilities.includes(query.capability)) &&
    (query.operation === undefined || handles(record, query.operation)) &&
    (query.consumes === undefined || record.consumes.some((event) => event.type === query.consumes)) &&
    (query.produces === undefined || record.produces.some((event) => event.type === query.produces))
  );
}

/** The order in which a registry lists agents: by name, then by id, both by UTF-16 code unit. */
export function compareAgents(a: AgentRecord, b: AgentRecord): number {
  return compareText(a.name, b.name) || compareText(a.agentId, b.agentId);
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function handles(record: AgentRecord, name: string): boolean {
  const named = (operation: Operation): boolean => operation.name === name;
  return record.goals.some(named) || record.tasks.some(named) || record.operations.some(named);
}
