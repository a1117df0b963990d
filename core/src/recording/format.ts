import type { Failure } from "../errors.ts";
import type { AgentKind, AgentRecord } from "../registry/records.ts";

/** What a recording's first line says it is. */
export const recordingFormat = "soorma.recording";
/** Raised when a reader of the version before would misunderstand a line. New kinds of lines do not raise it. */
export const recordingVersion = 1;

/** The first line of a recording. */
export interface RecordingHeader {
  readonly format: typeof recordingFormat;
  readonly version: number;
  /** Milliseconds since the epoch, by the recorder's clock. */
  readonly time: number;
  /** The same as text, for people. */
  readonly startedAt: string;
  readonly tenant: string;
  /** Name of the project, if it was recorded by `soorma record`. */
  readonly project?: string;
  /** Paths of what was taken out. */
  readonly redacted?: readonly string[];
}

/** Ids that tie messages together. Absent where a message has none. */
interface Ids {
  readonly traceId?: string;
  /** Id of the message that caused this one; of a reply, a result, progress or a cancellation: what it belongs to. */
  readonly parentId?: string;
  readonly correlationId?: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly goalId?: string;
  readonly planId?: string;
  readonly taskId?: string;
  readonly attempt?: number;
}

interface Message extends Ids {
  /** When it was sent: milliseconds since the epoch by its sender's clock. */
  readonly time: number;
  readonly id: string;
  /** Agent id of the sender. */
  readonly from: string;
}

/** An event that was published. */
export interface RecordedEvent extends Message {
  readonly kind: "event";
  readonly type: string;
  readonly topic: string;
  /** Agents that had a subscription of their own for it. Members of queue groups follow as `delivery`. */
  readonly to: readonly string[];
  readonly data: unknown;
  readonly subject?: string;
  readonly responseEvent?: string;
  readonly responseTopic?: string;
}

/** The member of a queue group that took an event, which is its parent. */
export interface RecordedDelivery extends Message {
  readonly kind: "delivery";
  readonly type: string;
  readonly group: string;
  readonly to: string;
}

/** A request to an operation, or a goal for a planner. */
export interface RecordedRequest extends Message {
  readonly kind: "request" | "goal";
  readonly type: string;
  readonly to: string;
  readonly data: unknown;
  readonly responseEvent?: string;
  readonly responseTopic?: string;
  /** Of a goal: the plan it does again. */
  readonly replayOf?: string;
}

/** An attempt at a task, offered to a worker. */
export interface RecordedTask extends Message {
  readonly kind: "task";
  /** The task's name. */
  readonly type: string;
  readonly assignedTo: string;
  readonly to: string;
  readonly planId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly data: unknown;
  /** Results of the tasks it depends on, by name. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

export type RecordedOutcome =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: Failure };

/**
 * `reply`: the answer to a request, of a goal's planner `{ planId }`, of a worker to an offer `"accepted"` or `"busy"`.
 * `result`: how an attempt at a task ended.
 */
export type RecordedAnswer = Message &
  RecordedOutcome & {
    readonly kind: "reply" | "result";
    /** That of what is answered. */
    readonly type: string;
    readonly to: string;
    /** Milliseconds since what is answered was sent, by the clock of who sent that. Absent when that was not recorded. */
    readonly tookMs?: number;
  };

export interface RecordedProgress extends Message {
  readonly kind: "progress";
  readonly type: string;
  readonly to: string;
  /** From 0 to 1. */
  readonly fraction: number;
  readonly message?: string;
}

/** A worker is told that nobody wants an attempt any more. */
export interface RecordedCancel extends Message {
  readonly kind: "cancel";
  readonly type: string;
  readonly to: string;
  readonly error: Failure;
}

/** A worker has sub-tasks added to the plan of the task it works at. */
export interface RecordedDelegation extends Message {
  readonly kind: "delegate";
  readonly type: string;
  readonly to: string;
  readonly tasks: readonly unknown[];
}

/** What a person, or an app, wanted of a plan. */
export interface RecordedOrder extends Message {
  readonly kind: "order";
  readonly type: "answer" | "cancel" | "pause" | "resume" | "retry" | "discard";
  readonly planId: string;
  /** Of an answer: which of the task's questions. */
  readonly key?: string;
  /** Of an answer: that; else the reason, if one was given. */
  readonly data: unknown;
}

/** What a recording keeps of an agent. */
export type RecordedAgent = Pick<
  AgentRecord,
  | "agentId"
  | "name"
  | "description"
  | "version"
  | "capabilities"
  | "goals"
  | "tasks"
  | "operations"
  | "consumes"
  | "produces"
  | "nodeId"
> & { readonly kind: AgentKind };

/** An agent is there, changed what it announces, or left. */
export interface RecordedPresence {
  readonly kind: "agent";
  /** By the recorder's clock. */
  readonly time: number;
  readonly change: "there" | "changed" | "left";
  readonly agent: RecordedAgent;
}

/** Messages that were sent and are not here. */
export interface RecordedLoss {
  readonly kind: "lost";
  readonly time: number;
  readonly nodeId: string;
  /** How many; 0 when that cannot be known, because the node was gone before it had told. */
  readonly count: number;
  readonly why: string;
}

/** The last line of a recording that was ended, not cut off. */
export interface RecordingEnd {
  readonly kind: "end";
  readonly time: number;
  readonly messages: number;
  readonly lost: number;
}

export type RecordedMessage =
  | RecordedEvent
  | RecordedDelivery
  | RecordedRequest
  | RecordedTask
  | RecordedAnswer
  | RecordedProgress
  | RecordedCancel
  | RecordedDelegation
  | RecordedOrder;

export type RecordingLine = RecordedMessage | RecordedPresence | RecordedLoss | RecordingEnd;
