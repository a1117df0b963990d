import { SoormaError } from "../errors.ts";
import { compilePattern, isType, maxTypeLength } from "../events/pattern.ts";
import { isTopic } from "../events/topics.ts";
import type { RetryPolicy } from "../plans/log.ts";
import {
  type AgentKind,
  type AgentQuery,
  type AgentRecord,
  agentKinds,
  type EventRef,
  type Operation,
  type SchemaQuery,
  type SchemaRef,
} from "./records.ts";
import { isVersion } from "./schemas.ts";

/** What a registry accepts at most. Lengths are in characters. */
export const registryLimits = {
  name: 128,
  id: 256,
  address: 2_048,
  description: 4_096,
  capabilities: 256,
  operations: 1_024,
  events: 1_024,
  leaseMsLeast: 50,
  leaseMsMost: 86_400_000,
} as const;

const namePattern = /^[a-z0-9][a-z0-9._-]*$/;
/** What a task, goal or operation is called: user code may name it like a function. */
const wordPattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:@/-]*$/;
/** Printable, no white space: an address is opaque but it ends up in logs and error messages. */
const addressPattern = /^[\x21-\x7e]+$/;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads an agent record that came from outside; the result has the known fields only.
 *
 * @throws {SoormaError} `REGISTRY_REFUSED` with the path of the first wrong field in the message and in `details.path`.
 */
export function parseAgentRecord(value: unknown): AgentRecord {
  const r = fields(value, "record");
  return {
    agentId: text(r, "record", "agentId", idPattern, registryLimits.id),
    name: text(r, "record", "name", namePattern, registryLimits.name),
    kind: kindOf(r.kind, "record.kind"),
    description: plainText(r.description, "record.description"),
    version: text(r, "record", "version", /^[\x21-\x7e]+$/, 128),
    tenant: text(r, "record", "tenant", idPattern, registryLimits.name),
    capabilities: list(r.capabilities, "record.capabilities", registryLimits.capabilities, parseWord),
    goals: list(r.goals, "record.goals", registryLimits.operations, parseOperation),
    tasks: list(r.tasks, "record.tasks", registryLimits.operations, parseOperation),
    operations: list(r.operations, "record.operations", registryLimits.operations, parseOperation),
    consumes: list(r.consumes, "record.consumes", registryLimits.events, parseConsumed),
    produces: list(r.produces, "record.produces", registryLimits.events, parseProduced),
    concurrency: integer(r.concurrency, "record.concurrency", 0, 1_000_000),
    ready: boolean(r.ready, "record.ready"),
    nodeId: text(r, "record", "nodeId", /^[a-z0-9-]+$/, 64),
    address: text(r, "record", "address", addressPattern, registryLimits.address),
    host: text(r, "record", "host", /^[\x21-\x7e]+$/, 255),
    pid: integer(r.pid, "record.pid", 0, Number.MAX_SAFE_INTEGER),
    startedAtMs: finite(r.startedAtMs, "record.startedAtMs"),
  };
}

const queryFields = [
  "agentId",
  "name",
  "kind",
  "capability",
  "operation",
  "consumes",
  "produces",
  "tenant",
] as const satisfies readonly (keyof AgentQuery)[];

/**
 * Reads a query. A field it does not know is refused: a misspelt one would otherwise find everybody.
 *
 * @throws {SoormaError} `REGISTRY_REFUSED`
 */
export function parseAgentQuery(value: unknown): AgentQuery {
  const q = fields(value ?? {}, "query");
  refuseUnknown(q, "query", queryFields);
  const query: { -readonly [K in keyof AgentQuery]: AgentQuery[K] } = {};
  for (const field of queryFields) {
    const wanted = q[field];
    if (wanted === undefined || wanted === null) continue;
    if (field === "kind") query.kind = kindOf(wanted, "query.kind");
    else query[field] = anyText(wanted, `query.${field}`, registryLimits.id);
  }
  return query;
}

/** @throws {SoormaError} `REGISTRY_REFUSED` */
export function parseSchemaQuery(value: unknown): SchemaQuery {
  const q = fields(value ?? {}, "query");
  refuseUnknown(q, "query", ["name", "version"]);
  return {
    ...(q.name == null ? {} : { name: anyText(q.name, "query.name", registryLimits.name) }),
    ...(q.version == null ? {} : { version: anyText(q.version, "query.version", registryLimits.name) }),
  };
}

/** @throws {SoormaError} `REGISTRY_REFUSED` */
export function parseAgentIds(value: unknown, most = 100_000): readonly string[] {
  return list(value, "agentIds", most, (id, path) => anyText(id, path, registryLimits.id));
}

/** @throws {SoormaError} `REGISTRY_REFUSED` */
export function parseLeaseMs(value: unknown): number {
  return integer(value, "leaseMs", registryLimits.leaseMsLeast, registryLimits.leaseMsMost);
}

/** A `REGISTRY_REFUSED` that names the wrong field. */
export function refused(path: string, problem: string): SoormaError {
  return new SoormaError("REGISTRY_REFUSED", `the registry refused it: ${path} ${problem}`, { details: { path } });
}

function parseOperation(value: unknown, path: string): Operation {
  const o = fields(value, path);
  return {
    name: parseWord(o.name, `${path}.name`),
    ...(o.description == null ? {} : { description: plainText(o.description, `${path}.description`) }),
    ...(o.input == null ? {} : { input: parseRef(o.input, `${path}.input`) }),
    ...(o.output == null ? {} : { output: parseRef(o.output, `${path}.output`) }),
    ...(o.retry == null ? {} : { retry: parseRetry(o.retry, `${path}.retry`) }),
    ...(o.timeoutMs == null ? {} : { timeoutMs: finite(o.timeoutMs, `${path}.timeoutMs`) }),
    ...(o.priority == null ? {} : { priority: number(o.priority, `${path}.priority`) }),
  };
}

function parseRetry(value: unknown, path: string): RetryPolicy {
  const r = fields(value, path);
  return {
    ...(r.maxAttempts == null
      ? {}
      : { maxAttempts: integer(r.maxAttempts, `${path}.maxAttempts`, 1, Number.MAX_SAFE_INTEGER) }),
    ...(r.backoffMs == null ? {} : { backoffMs: finite(r.backoffMs, `${path}.backoffMs`) }),
    ...(r.maxBackoffMs == null ? {} : { maxBackoffMs: finite(r.maxBackoffMs, `${path}.maxBackoffMs`) }),
  };
}

function parseConsumed(value: unknown, path: string): EventRef {
  const e = fields(value, path);
  return parseEvent(e, path, () => {
    const type = anyText(e.type, `${path}.type`, maxTypeLength);
    try {
      return compilePattern(type).source;
    } catch {
      throw refused(`${path}.type`, `is ${show(type)}, which is no event type or pattern`);
    }
  });
}

function parseProduced(value: unknown, path: string): EventRef {
  const e = fields(value, path);
  return parseEvent(e, path, () => {
    if (!isType(e.type)) throw refused(`${path}.type`, `is ${show(e.type)}, which is no event type`);
    return e.type;
  });
}

function parseEvent(e: Fields, path: string, type: () => string): EventRef {
  if (e.topic != null && !isTopic(e.topic)) throw refused(`${path}.topic`, `is ${show(e.topic)}, which is no topic`);
  return {
    type: type(),
    ...(e.topic == null ? {} : { topic: e.topic }),
    ...(e.group == null ? {} : { group: text(e, path, "group", idPattern, registryLimits.id) }),
    ...(e.schema == null ? {} : { schema: parseRef(e.schema, `${path}.schema`) }),
  };
}

function parseRef(value: unknown, path: string): SchemaRef {
  const ref = fields(value, path);
  const name = parseWord(ref.name, `${path}.name`);
  if (!isVersion(ref.version)) throw refused(`${path}.version`, `is ${show(ref.version)}, which is no semver version`);
  return { name, version: ref.version };
}

function parseWord(value: unknown, path: string): string {
  const word = anyText(value, path, registryLimits.name);
  if (!wordPattern.test(word)) {
    throw refused(
      path,
      `is ${show(word)}; it must be letters, digits, ".", "_" and "-", and begin with a letter or digit`,
    );
  }
  return word;
}

function fields(value: unknown, path: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refused(path, `is ${show(value)}, not an object`);
  }
  return value as Fields;
}

function refuseUnknown(value: Fields, path: string, known: readonly string[]): void {
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw refused(`${path}.${unknown.slice(0, 64)}`, `is not known; known are ${known.join(", ")}`);
  }
}

function text(from: Fields, path: string, field: string, pattern: RegExp, most: number): string {
  const value = anyText(from[field], `${path}.${field}`, most);
  if (!pattern.test(value)) {
    throw refused(`${path}.${field}`, `is ${show(value)}, which does not match ${pattern.source}`);
  }
  return value;
}

function anyText(value: unknown, path: string, most: number): string {
  if (typeof value !== "string") throw refused(path, `is ${show(value)}, not text`);
  if (value.length === 0) throw refused(path, "is empty");
  if (value.length > most) throw refused(path, `has ${value.length} characters; the limit is ${most}`);
  return value;
}

function plainText(value: unknown, path: string): string {
  if (value === "") return "";
  return anyText(value, path, registryLimits.description);
}

function list<T>(value: unknown, path: string, most: number, parse: (item: unknown, path: string) => T): readonly T[] {
  if (!Array.isArray(value)) throw refused(path, `is ${show(value)}, not a list`);
  if (value.length > most) throw refused(path, `has ${value.length} entries; the limit is ${most}`);
  return value.map((item, i) => parse(item, `${path}[${i}]`));
}

function kindOf(value: unknown, path: string): AgentKind {
  const kind = agentKinds.find((known) => known === value);
  if (!kind) throw refused(path, `is ${show(value)}; it must be one of ${agentKinds.join(", ")}`);
  return kind;
}

function integer(value: unknown, path: string, least: number, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value))
    throw refused(path, `is ${show(value)}, not a whole number`);
  if (value < least || value > most) throw refused(path, `is ${value}; it must be between ${least} and ${most}`);
  return value;
}

function finite(value: unknown, path: string): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) {
    throw refused(path, `is ${show(value)}, not a number from 0`);
  }
  return value;
}

function number(value: unknown, path: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw refused(path, `is ${show(value)}, not a number`);
  return value;
}

function boolean(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw refused(path, `is ${show(value)}, not true or false`);
  return value;
}

/** A short form of a wrong value for a message: text quoted and clipped, anything else by its type. */
function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === undefined || value === null) return "missing";
  return Array.isArray(value) ? "a list" : `of type ${typeof value}`;
}
