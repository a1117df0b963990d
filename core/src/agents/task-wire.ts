import { type Failure, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import type { Address } from "../plugin/transport.ts";

/** Directed calls and notes by which a task goes to a worker and comes back. */
export const taskMethods = {
  /** Planner to worker, a call: {@link OfferAnswer}. */
  offer: "task.offer",
  /** Planner to worker, a note: {@link TaskKey}. */
  cancel: "task.cancel",
  /** Worker to planner, a note: {@link ProgressNote}. */
  progress: "task.progress",
  /** Worker to planner, a call: {@link TaskOutcome}. Its answer acknowledges it. */
  result: "task.result",
} as const;

/** Whom a worker answers. */
interface ReplyTo {
  readonly agentId: string;
  readonly nodeId: string;
  readonly address: Address;
}

/** What is inside the envelope of an offer. */
export interface OfferedTask {
  readonly taskId: string;
  readonly planId: string;
  readonly attempt: number;
  readonly name: string;
  readonly assignedTo: string;
  readonly data: unknown;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly timeoutMs?: number;
  readonly priority: number;
  readonly replyTo: ReplyTo;
}

export type OfferAnswer = "accepted" | "busy";

export interface TaskKey {
  readonly taskId: string;
  readonly attempt: number;
}

export interface ProgressNote extends TaskKey {
  readonly agentId: string;
  readonly fraction: number;
  readonly message?: string;
}

export type TaskOutcome = TaskKey & {
  readonly agentId: string;
} & ({ readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly failure: Failure });

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readOffer(envelope: Envelope): OfferedTask {
  const task = record(envelope.data, "an offer");
  const replyTo = record(task.replyTo, "an offer's sender");
  const texts = [
    task.taskId,
    task.planId,
    task.name,
    task.assignedTo,
    replyTo.agentId,
    replyTo.nodeId,
    replyTo.address,
  ];
  if (!texts.every(isText) || !isCount(task.attempt) || typeof task.priority !== "number")
    throw malformed("an offer lacks a field");
  if (typeof task.inputs !== "object" || task.inputs === null) throw malformed("an offer has no inputs");
  if (task.timeoutMs != null && typeof task.timeoutMs !== "number") throw malformed("an offer's timeout is no number");
  return task as unknown as OfferedTask;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readKey(params: unknown): TaskKey {
  const key = record(params, "a task's key");
  if (!isText(key.taskId) || !isCount(key.attempt)) throw malformed("a task's key lacks a field");
  return key as unknown as TaskKey;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readProgress(params: unknown): ProgressNote {
  const note = record(params, "progress");
  readKey(params);
  if (!isText(note.agentId) || typeof note.fraction !== "number") throw malformed("progress lacks a field");
  if (note.message != null && typeof note.message !== "string")
    throw malformed("progress has a message that is no text");
  return note as unknown as ProgressNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readOutcome(params: unknown): TaskOutcome {
  const outcome = record(params, "a task's outcome");
  readKey(params);
  if (!isText(outcome.agentId) || typeof outcome.ok !== "boolean") throw malformed("a task's outcome lacks a field");
  if (!outcome.ok) {
    const failure = record(outcome.failure, "a failure");
    if (!isText(failure.code) || typeof failure.message !== "string" || typeof failure.retryable !== "boolean") {
      throw malformed("a failure lacks a field");
    }
  }
  return outcome as unknown as TaskOutcome;
}

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(`${what} is no record`);
  return value as Record<string, unknown>;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1;
}

function malformed(why: string): SoormaError {
  return new SoormaError("MESSAGE_MALFORMED", `a task message was refused: ${why}`);
}
