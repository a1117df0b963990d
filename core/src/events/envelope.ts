import { SoormaError } from "../errors.ts";
import { isType } from "./pattern.ts";
import { isTopic, type Topic } from "./topics.ts";

/** A message passed on more often than this is refused: agents call each other in a circle. */
export const maxHops = 64;

/** The ids and limits that travel with every message. */
export interface Correlation {
  readonly traceId: string;
  readonly correlationId: string;
  /** Id of the message whose handler sent this one. */
  readonly parentId?: string;
  readonly sessionId?: string;
  readonly tenantId: string;
  readonly userId?: string;
  readonly goalId?: string;
  readonly planId?: string;
  readonly taskId?: string;
  readonly attempt?: number;
  /** Wall clock, milliseconds since the epoch, after which nobody waits for the answer. */
  readonly deadline?: number;
  /** How many handlers it passed through. */
  readonly hops: number;
}

/**
 * What travels: CloudEvents 1.0 attributes in camelCase, and Soorma's own.
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
 */
export interface Envelope<T = unknown> extends Correlation {
  readonly id: string;
  /** Agent id of the sender. */
  readonly source: string;
  readonly specversion: "1.0";
  readonly type: string;
  /** Milliseconds since the epoch by the sender's clock (CloudEvents' RFC 3339 text would cost more than the rest). */
  readonly time: number;
  readonly topic: Topic;
  readonly data: T;
  readonly subject?: string;
  readonly responseEvent?: string;
  readonly responseTopic?: Topic;
  /** `name@version` of the schema the data was checked against. */
  readonly schema?: string;
}

/** Fields every envelope has, before those that may be absent. */
const requiredCount = 10;
const fixedCount = 12;

/** An envelope as it goes over the wire: positional, so that no field name is ever sent or parsed. */
export type PackedEnvelope = unknown[];

export function packEnvelope(e: Envelope): PackedEnvelope {
  // Written out, and read in the same order below: a loop over field names costs twice as much. Append only.
  const packed: unknown[] = [
    e.id,
    e.source,
    e.type,
    e.time,
    e.topic,
    e.data,
    e.correlationId,
    e.traceId,
    e.tenantId,
    e.hops,
    e.deadline ?? null,
    e.attempt ?? null,
    e.subject ?? null,
    e.parentId ?? null,
    e.sessionId ?? null,
    e.userId ?? null,
    e.goalId ?? null,
    e.planId ?? null,
    e.taskId ?? null,
    e.responseEvent ?? null,
    e.responseTopic ?? null,
    e.schema ?? null,
  ];
  // Trailing absent fields are left out: most messages carry few of them.
  let length = packed.length;
  while (length > fixedCount && packed[length - 1] === null) length--;
  packed.length = length;
  return packed;
}

/**
 * Reads what {@link packEnvelope} wrote, trusting nothing.
 *
 * @throws {SoormaError} `MESSAGE_MALFORMED`, `HOPS_EXCEEDED`
 */
export function unpackEnvelope(value: unknown): Envelope {
  if (!Array.isArray(value) || value.length < requiredCount) throw malformed("it is no envelope");
  const [id, source, type, time, topic, data, correlationId, traceId, tenantId, hops, deadline, attempt] =
    value as unknown[];
  if (!isText(id) || !isText(source) || !isText(correlationId) || !isText(traceId) || !isText(tenantId)) {
    throw malformed("an id is missing or no text");
  }
  if (!isType(type)) throw malformed("its type is no event type");
  if (!isTopic(topic)) throw malformed("its topic is unknown");
  if (typeof time !== "number" || !isCount(hops)) throw malformed("its time or hops is no number");
  if (deadline != null && typeof deadline !== "number") throw malformed("its deadline is no number");
  if (attempt != null && !isCount(attempt)) throw malformed("its attempt is no count");
  if (hops > maxHops) {
    throw new SoormaError(
      "HOPS_EXCEEDED",
      `"${type}" from ${source} passed through ${hops} handlers; the limit is ${maxHops}`,
      {
        hint: "Agents are probably calling each other in a circle.",
      },
    );
  }
  const envelope: Mutable<Envelope> = {
    id,
    source,
    specversion: "1.0",
    type,
    time,
    topic,
    data,
    correlationId,
    traceId,
    tenantId,
    hops,
  };
  if (deadline != null) envelope.deadline = deadline;
  if (attempt != null) envelope.attempt = attempt;
  if (value.length > fixedCount) readOptional(envelope, value);
  return envelope;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readOptional(envelope: Mutable<Envelope>, value: readonly unknown[]): void {
  const [subject, parentId, sessionId, userId, goalId, planId, taskId, responseEvent, responseTopic, schema] =
    value.slice(fixedCount);
  if (subject != null) envelope.subject = textOf(subject, "subject");
  if (parentId != null) envelope.parentId = textOf(parentId, "parentId");
  if (sessionId != null) envelope.sessionId = textOf(sessionId, "sessionId");
  if (userId != null) envelope.userId = textOf(userId, "userId");
  if (goalId != null) envelope.goalId = textOf(goalId, "goalId");
  if (planId != null) envelope.planId = textOf(planId, "planId");
  if (taskId != null) envelope.taskId = textOf(taskId, "taskId");
  if (responseEvent != null) envelope.responseEvent = textOf(responseEvent, "responseEvent");
  if (responseTopic != null) {
    if (!isTopic(responseTopic)) throw malformed("its responseTopic is unknown");
    envelope.responseTopic = responseTopic;
  }
  if (schema != null) envelope.schema = textOf(schema, "schema");
}

function textOf(value: unknown, field: string): string {
  if (!isText(value)) throw malformed(`its ${field} is no text`);
  return value;
}

/** The event in CloudEvents' JSON form, for other systems. */
export function toCloudEvent(e: Envelope): Record<string, unknown> {
  // biome-ignore lint/style/noRestrictedGlobals: a given time is written as text
  return { ...e, time: new Date(e.time).toISOString(), datacontenttype: "application/json" };
}

const maxIdLength = 512;

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= maxIdLength;
}

/** @throws {SoormaError} `PAYLOAD_INVALID` for what every receiver would refuse, and a publisher never hear of. */
export function checkText(value: unknown, field: string, type: string): void {
  if (isText(value)) return;
  const why = typeof value !== "string" ? "no text" : value === "" ? "empty" : `of ${value.length} characters`;
  throw new SoormaError("PAYLOAD_INVALID", `"${type}" cannot be sent: its ${field} is ${why}`, {
    details: { path: field },
    hint: `Give it 1 to ${maxIdLength} characters, or leave it out.`,
  });
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function malformed(why: string): SoormaError {
  return new SoormaError("MESSAGE_MALFORMED", `a message was refused: ${why}`);
}
