import { answerIdOf } from "../events/answers.ts";
import type {
  RecordedAnswer,
  RecordedEvent,
  RecordedOrder,
  RecordedOutcome,
  RecordedRequest,
  RecordingLine,
} from "./format.ts";
import type { Recording } from "./lines.ts";
import { isRedacted } from "./redact.ts";

/** What clients send: goals, requests and events, and orders to plans. */
export type InputMessage = RecordedRequest | RecordedEvent | RecordedOrder;

/** What came into a mesh from outside. */
export interface RecordedInput {
  readonly message: InputMessage;
  /** How it ended. Absent for an event, and for what had not ended when the recording did. */
  readonly outcome: RecordedOutcome | undefined;
  /** When that was: milliseconds since the epoch. */
  readonly endedAt: number | undefined;
  /** Why it cannot be sent again. */
  readonly obstacle: string | undefined;
}

/** The inputs of a recording in the order they were sent. */
export function inputsOf(recording: Recording): readonly RecordedInput[] {
  const { lines } = recording;
  const kinds = new Map(
    lines.flatMap((line) => (line.kind === "agent" ? [[line.agent.agentId, line.agent.kind]] : [])),
  );
  const { replies, answers } = endsOf(recording);
  const inputs = new Map<string, RecordedInput>();
  for (const message of lines) {
    if (!isInput(message)) continue;
    // Sent to another agent because the first one was lost, a request has the same id.
    if (inputs.has(message.id)) continue;
    const kind = kinds.get(message.from);
    const isOutside = kind === undefined ? message.parentId === undefined : kind === "client";
    if (!isOutside || (message.kind === "event" && message.type.startsWith("system."))) continue;
    const isAnswered = message.kind === "goal" || message.kind === "request";
    const end = isAnswered ? endOf(message, replies, answers) : undefined;
    const obstacle = obstacleOf(message);
    // An order is taken at once.
    const endedAt = message.kind === "order" ? message.time : end?.time;
    inputs.set(message.id, { message, outcome: end?.outcome, endedAt, obstacle });
  }
  return [...inputs.values()].sort((a, b) => a.message.time - b.message.time);
}

function isInput(line: RecordingLine): line is InputMessage {
  return line.kind === "goal" || line.kind === "request" || line.kind === "event" || line.kind === "order";
}

function obstacleOf(message: InputMessage): string | undefined {
  if (isRedacted(message.data)) return "something was taken out of its data when it was recorded";
  if (message.kind === "goal" && message.replayOf !== undefined) return "it did a plan again that is not in this mesh";
  return undefined;
}

interface Ends {
  /** By the id of what is answered; of several the last one. */
  readonly replies: ReadonlyMap<string, RecordedAnswer>;
  /** Answers of goals by their ids. */
  readonly answers: ReadonlyMap<string, RecordedEvent>;
}

export function endsOf({ lines }: Recording): Ends {
  const replies = new Map<string, RecordedAnswer>();
  const answers = new Map<string, RecordedEvent>();
  for (const line of lines) {
    if (line.kind === "reply" && line.parentId !== undefined) replies.set(line.parentId, line);
    else if (line.kind === "event" && line.planId !== undefined && line.id === answerIdOf(line.planId))
      answers.set(line.id, line);
  }
  return { replies, answers };
}

/** How a request or a goal ended, and when. */
export function endOf(
  message: RecordedRequest,
  replies: Ends["replies"],
  answers: Ends["answers"],
): { readonly outcome: RecordedOutcome; readonly time: number } | undefined {
  const reply = replies.get(message.id);
  if (!reply) return undefined;
  if (message.kind === "request" || !reply.ok) return { outcome: outcomeOf(reply), time: reply.time };
  const { planId } = (reply.result ?? {}) as { planId?: unknown };
  const answer = typeof planId === "string" ? answers.get(answerIdOf(planId)) : undefined;
  if (!answer) return undefined;
  const { status, result, failure } = (answer.data ?? {}) as { status?: unknown; result?: unknown; failure?: unknown };
  if (status === "completed") return { outcome: { ok: true, result: result ?? null }, time: answer.time };
  const error = isFailure(failure)
    ? failure
    : { code: "CANCELLED", message: "the goal was cancelled", retryable: false };
  return { outcome: { ok: false, error }, time: answer.time };
}

export function outcomeOf(answer: RecordedAnswer): RecordedOutcome {
  return answer.ok ? { ok: true, result: answer.result ?? null } : { ok: false, error: answer.error };
}

function isFailure(value: unknown): value is Extract<RecordedOutcome, { ok: false }>["error"] {
  return typeof value === "object" && value !== null && "code" in value && "message" in value && "retryable" in value;
}
