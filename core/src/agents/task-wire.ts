import { type Failure, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import type { TaskSpec } from "../plans/log.ts";
import type { Address } from "../plugin/transport.ts";

/** Directed calls and notes by which a task goes to a worker and comes back. */
export const taskMethods = {
  /** Planner to worker, a call: {@link OfferAnswer}. */
  offer: "task.offer",
  /** Planner to worker, a note: {@link RecordedNote}. */
  recorded: "task.recorded",
  /** Planner to worker, a note: {@link CancelNote}. */
  cancel: "task.cancel",
  /** Planner to worker, a call: {@link AttachRequest}, answered with one {@link Holding} for each attempt asked for. */
  attach: "task.attach",
  /** Worker to planner, a note: {@link ProgressNote}. */
  progress: "task.progress",
  /** Worker to planner, a call: {@link TaskOutcome}. Answered once the end of the attempt is in the plan's log. */
  result: "task.result",
  /** Worker to planner, a note every third of the lease: {@link HoldingNote}. */
  holding: "task.holding",
  /** Worker to planner, a note: {@link SuspendedNote}. */
  suspended: "task.suspended",
  /** Worker to a planner that it was too busy for, a note: {@link RoomNote}. */
  room: "task.room",
  /** Worker to planner, a call: {@link DelegateRequest}. Answered once the tasks are in the plan's log. */
  delegate: "task.delegate",
  /** Worker to planner, a call: {@link JoinRequest}, answered with a {@link JoinAnswer}. */
  join: "task.join",
} as const;

/** Whom a worker answers. */
export interface ReplyTo {
  readonly agentId: string;
  readonly nodeId: string;
  readonly address: Address;
}

/** What is inside the envelope of an offer. */
export interface OfferedTask {
  readonly taskId: string;
  readonly planId: string;
  readonly attempt: number;
  /** Fencing token of the plan's driver: of two planners that speak of one plan, the one of the higher epoch is right. */
  readonly epoch: number;
  readonly name: string;
  readonly assignedTo: string;
  readonly data: unknown;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Earlier attempts may have left steps and waits in the log. */
  readonly hasJournal: boolean;
  /** An earlier attempt may still be running. */
  readonly mayOverlap: boolean;
  readonly timeoutMs?: number;
  readonly priority: number;
  readonly replyTo: ReplyTo;
}

/** With the outcome when that is there at once; it is then the worker's to keep until a {@link RecordedNote} names it. */
export type OfferAnswer = "accepted" | "busy" | Outcome;

export interface TaskKey {
  readonly taskId: string;
  readonly attempt: number;
}

/** The ends of these attempts, which came with the answers to their offers, are in the log. */
export interface RecordedNote {
  readonly attempts: readonly TaskKey[];
}

/** Nobody wants the attempt any more; why becomes the reason of the handler's signal. */
export interface CancelNote extends TaskKey {
  readonly epoch: number;
  readonly failure: Failure;
}

export interface AttachRequest {
  /** Whom to answer from now on. */
  readonly replyTo: ReplyTo;
  readonly attempts: readonly (TaskKey & { readonly planId: string; readonly epoch: number })[];
}

/** What a worker knows of an attempt; `fenced`: a planner of a later epoch asked for it. */
export type Holding = Held | "unknown" | "fenced";

export interface Held {
  readonly state: "running" | "suspended" | "done";
  /** Milliseconds since the worker took it, or from then to its end: its clock went on while planners came and went. */
  readonly ranMs: number;
}

export interface ProgressNote extends TaskKey {
  readonly agentId: string;
  readonly fraction: number;
  readonly message?: string;
}

/** All that a worker has of one planner's: running, suspended, and done but not acknowledged. */
export interface HoldingNote {
  readonly agentId: string;
  readonly attempts: readonly (TaskKey & { readonly epoch: number; readonly suspended: boolean })[];
}

/** The handler only waits from now on, or does not any more. */
export interface SuspendedNote extends TaskKey {
  readonly agentId: string;
  readonly suspended: boolean;
  /** Grows with each note of an attempt: an older one changes nothing. */
  readonly order: number;
}

/** The worker has room again. */
export interface RoomNote {
  readonly agentId: string;
}

export interface DelegateRequest extends TaskKey {
  readonly agentId: string;
  /** Named without the parent's name. */
  readonly tasks: readonly TaskSpec[];
}

export interface JoinRequest extends TaskKey {
  readonly agentId: string;
  readonly name: string;
}

/** `pending`: it has not ended yet, ask again. */
export type JoinAnswer =
  | { readonly pending: true }
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly failure: Failure };

/** How an attempt ended. */
export type Outcome =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly failure: Failure };

/** `ranMs`: as in {@link Held}. */
export type TaskOutcome = TaskKey & { readonly agentId: string; readonly ranMs: number } & Outcome;

/** One string for both halves of a key. */
export function keyOf({ taskId, attempt }: TaskKey): string {
  return `${taskId} ${attempt}`;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readOffer(envelope: Envelope): OfferedTask {
  const task = record(envelope.data, "an offer");
  readReplyTo(task.replyTo);
  if (![task.taskId, task.planId, task.name, task.assignedTo].every(isText)) throw malformed("an offer lacks a field");
  if (!isCount(task.attempt) || !isEpoch(task.epoch) || typeof task.priority !== "number")
    throw malformed("an offer lacks a field");
  if (typeof task.inputs !== "object" || task.inputs === null) throw malformed("an offer has no inputs");
  if (task.timeoutMs != null && typeof task.timeoutMs !== "number") throw malformed("an offer's timeout is no number");
  return task as unknown as OfferedTask;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readOfferAnswer(answer: unknown): OfferAnswer {
  if (answer === "accepted" || answer === "busy") return answer;
  const outcome = record(answer, "the answer to an offer");
  checkOutcome(outcome);
  return outcome as unknown as Outcome;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readRecorded(params: unknown): RecordedNote {
  const note = record(params, "a note of what is recorded");
  if (!Array.isArray(note.attempts)) throw malformed("a note of what is recorded names no attempts");
  for (const attempt of note.attempts) keyed(attempt, "a recorded attempt");
  return note as unknown as RecordedNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readCancel(params: unknown): CancelNote {
  const note = keyed(params, "a cancellation");
  if (!isEpoch(note.epoch)) throw malformed("a cancellation has no epoch");
  checkFailure(note.failure);
  return note as unknown as CancelNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readAttach(params: unknown): AttachRequest {
  const request = record(params, "an attach request");
  readReplyTo(request.replyTo);
  if (!Array.isArray(request.attempts)) throw malformed("an attach request names no attempts");
  for (const attempt of request.attempts) {
    const { planId, epoch } = keyed(attempt, "an attach request's attempt");
    if (!isText(planId) || !isEpoch(epoch)) throw malformed("an attach request's attempt lacks a field");
  }
  return request as unknown as AttachRequest;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readHoldings(answer: unknown): readonly Holding[] {
  if (!Array.isArray(answer)) throw malformed("the answer to an attach request is no list");
  for (const holding of answer) {
    if (holding === "unknown" || holding === "fenced") continue;
    const { state, ranMs } = record(holding, "what a worker holds");
    if (state !== "running" && state !== "suspended" && state !== "done")
      throw malformed("a held attempt has no state");
    checkRanMs(ranMs);
  }
  return answer;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readProgress(params: unknown): ProgressNote {
  const note = ofAgent(params, "progress");
  if (typeof note.fraction !== "number") throw malformed("progress has no fraction");
  if (note.message != null && typeof note.message !== "string")
    throw malformed("progress has a message that is no text");
  return note as unknown as ProgressNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readHolding(params: unknown): HoldingNote {
  const note = record(params, "a holding note");
  if (!isText(note.agentId) || !Array.isArray(note.attempts)) throw malformed("a holding note lacks a field");
  for (const held of note.attempts) {
    const { epoch, suspended } = keyed(held, "a held attempt");
    if (!isEpoch(epoch) || typeof suspended !== "boolean") throw malformed("a held attempt lacks a field");
  }
  return note as unknown as HoldingNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readSuspended(params: unknown): SuspendedNote {
  const note = ofAgent(params, "a suspension");
  if (typeof note.suspended !== "boolean" || !isCount(note.order)) throw malformed("a suspension lacks a field");
  return note as unknown as SuspendedNote;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readRoom(params: unknown): RoomNote {
  const note = record(params, "a note of room");
  if (!isText(note.agentId)) throw malformed("a note of room names no agent");
  return note as unknown as RoomNote;
}

/** What the tasks are is checked by who adds them to the plan. @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readDelegate(params: unknown): DelegateRequest {
  const request = ofAgent(params, "a delegation");
  if (!Array.isArray(request.tasks)) throw malformed("a delegation has no tasks");
  return request as unknown as DelegateRequest;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readJoin(params: unknown): JoinRequest {
  const request = ofAgent(params, "a join");
  if (!isText(request.name)) throw malformed("a join names no task");
  return request as unknown as JoinRequest;
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
export function readOutcome(params: unknown): TaskOutcome {
  const outcome = ofAgent(params, "a task's outcome");
  checkOutcome(outcome);
  checkRanMs(outcome.ranMs);
  return outcome as unknown as TaskOutcome;
}

function checkOutcome(outcome: Readonly<Record<string, unknown>>): void {
  if (typeof outcome.ok !== "boolean") throw malformed("a task's outcome lacks a field");
  if (!outcome.ok) checkFailure(outcome.failure);
}

function checkRanMs(ranMs: unknown): void {
  if (typeof ranMs !== "number" || !(ranMs >= 0)) throw malformed("an attempt does not say how long it ran");
}

function checkFailure(value: unknown): void {
  const failure = record(value, "a failure");
  if (!isText(failure.code) || typeof failure.message !== "string" || typeof failure.retryable !== "boolean")
    throw malformed("a failure lacks a field");
}

function readReplyTo(value: unknown): void {
  const { agentId, nodeId, address } = record(value, "whom to answer");
  if (!isText(agentId) || !isText(nodeId) || !isText(address)) throw malformed("whom to answer lacks a field");
}

function ofAgent(params: unknown, what: string): Record<string, unknown> {
  const message = keyed(params, what);
  if (!isText(message.agentId)) throw malformed(`${what} names no agent`);
  return message;
}

function keyed(params: unknown, what: string): Record<string, unknown> {
  const key = record(params, what);
  if (!isText(key.taskId) || !isCount(key.attempt)) throw malformed(`${what} names no attempt`);
  return key;
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

function isEpoch(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function malformed(why: string): SoormaError {
  return new SoormaError("MESSAGE_MALFORMED", `a task message was refused: ${why}`);
}
