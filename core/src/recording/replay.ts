import type { Client } from "../agents/client.ts";
import { isSoormaError, toFailure } from "../errors.ts";
import { compilePattern } from "../events/pattern.ts";
import { type Runtime, sleep, systemRuntime } from "../runtime.ts";
import { createComparison, type Difference } from "./difference.ts";
import type { RecordedOutcome } from "./format.ts";
import { InputSender } from "./input-sender.ts";
import { inputsOf, type RecordedInput } from "./inputs.ts";
import type { Recording } from "./lines.ts";

export interface ReplayOptions {
  /** Sends everything. */
  readonly client: Client;
  /** How many times faster than it was recorded. Default: as fast as what depends on each other allows. */
  readonly speed?: number;
  /** Only goals, requests and events whose type matches this pattern: `order.*`. */
  readonly only?: string;
  /** Paths in results that may differ: `result.id`, or `id` wherever it is. */
  readonly ignore?: readonly string[];
  /** Milliseconds to wait for each answer. Default 60_000. */
  readonly timeoutMs?: number;
  /** Whose time it is. Default: the real one. */
  readonly runtime?: Runtime;
  /** Ends the replay, with its reason. */
  readonly signal?: AbortSignal;
  /** Called for each input as soon as it has ended. */
  readonly onEnd?: (input: ReplayedInput) => void;
}

/** An input that was sent again, and what came of it. */
export interface ReplayedInput {
  /** Of the recorded message. */
  readonly id: string;
  readonly kind: "goal" | "request" | "event" | "order";
  readonly type: string;
  /**
   * `same`: it ended as it was recorded; `different`: it did not; `sent`: there is nothing to compare it with, since it is an event or
   * an order to a plan, or had not ended when the recording did; `skipped`: it could not be sent again.
   */
  readonly verdict: "same" | "different" | "sent" | "skipped";
  readonly differences: readonly Difference[];
  readonly recorded: RecordedOutcome | undefined;
  readonly actual: RecordedOutcome | undefined;
  /** Why it was skipped. */
  readonly why?: string;
  readonly recordedMs: number | undefined;
  readonly tookMs: number | undefined;
}

export interface ReplayReport {
  readonly inputs: readonly ReplayedInput[];
  readonly same: number;
  readonly different: number;
  readonly sent: number;
  readonly skipped: number;
}

/** The inputs of a recording that a replay sends, in their order. @throws {SoormaError} `PAYLOAD_INVALID` for what is no pattern. */
export function selectInputs(recording: Recording, only?: string): readonly RecordedInput[] {
  const inputs = inputsOf(recording);
  if (only === undefined) return inputs;
  const pattern = compilePattern(only);
  const selected = inputs.filter(({ message }) => message.kind !== "order" && pattern.matches(message.type));
  // What is ordered of a plan goes with its goal.
  const goals = new Set(selected.map(({ message }) => message.id));
  return inputs.filter((input) => {
    const { kind, goalId } = input.message;
    return kind === "order" ? goalId !== undefined && goals.has(goalId) : selected.includes(input);
  });
}

/**
 * Sends what came into a recorded mesh from outside into another one, and compares what comes of it.
 *
 * What was sent after the answer of something else is sent after that was answered here, too; what was under way at the same
 * time is again. With a `speed`, it also waits as long as was waited then.
 *
 * @throws {SoormaError} `PAYLOAD_INVALID` when `only` is no pattern. What fails while it runs is a difference, not an error.
 */
export async function replayRecording(recording: Recording, options: ReplayOptions): Promise<ReplayReport> {
  const { speed = Number.POSITIVE_INFINITY, runtime = systemRuntime, signal, onEnd } = options;
  const selected = selectInputs(recording, options.only);
  const comparison = createComparison(options.ignore);
  const began = runtime.monotonic();
  const firstAt = selected[0]?.message.time ?? 0;
  const ends = new Map<RecordedInput, Promise<ReplayedInput>>();
  const sender = new InputSender(options, runtime);
  const lastNeeded = lastNeededBy(selected);
  for (const [index, input] of selected.entries()) {
    signal?.throwIfAborted();
    const { time } = input.message;
    const before = selected.filter(
      (one) => one.endedAt !== undefined && one.endedAt <= time && (lastNeeded.get(one) ?? -1) < index,
    );
    await Promise.all(before.map((one) => ends.get(one)));
    const waitMs = (time - firstAt) / speed - (runtime.monotonic() - began);
    if (waitMs > 0) await sleep(runtime, waitMs, signal);
    const end = replayInput(input, comparison, sender, { runtime, signal }).then((replayed) => {
      onEnd?.(replayed);
      return replayed;
    });
    end.catch(() => {});
    ends.set(input, end);
    // Two events of one client arrive in their order.
    if (input.message.kind === "event") await end;
  }
  const inputs = await Promise.all(ends.values());
  signal?.throwIfAborted();
  const count = (verdict: ReplayedInput["verdict"]): number => inputs.filter((one) => one.verdict === verdict).length;
  return {
    inputs,
    same: count("same"),
    different: count("different"),
    sent: count("sent"),
    skipped: count("skipped"),
  };
}

/**
 * For each goal, the place of the last order that it may have ended because of: an order and what comes of it may have the same
 * time, which is in whole milliseconds. Until that is sent nobody may wait for the goal.
 */
function lastNeededBy(inputs: readonly RecordedInput[]): ReadonlyMap<RecordedInput, number> {
  const goals = new Map(inputs.flatMap((input) => (input.message.kind === "goal" ? [[input.message.id, input]] : [])));
  const last = new Map<RecordedInput, number>();
  for (const [index, { message }] of inputs.entries()) {
    const goal = message.kind === "order" && message.goalId !== undefined ? goals.get(message.goalId) : undefined;
    if (goal && message.time <= (goal.endedAt ?? 0)) last.set(goal, index);
  }
  return last;
}

async function replayInput(
  { message, outcome, endedAt, obstacle }: RecordedInput,
  comparison: ReturnType<typeof createComparison>,
  sender: InputSender,
  { runtime, signal }: { readonly runtime: Runtime; readonly signal: AbortSignal | undefined },
): Promise<ReplayedInput> {
  const { id, kind, type, time } = message;
  const recordedMs = endedAt === undefined ? undefined : endedAt - time;
  const base = { id, kind, type, recorded: outcome, recordedMs };
  const why = obstacle ?? (message.kind === "order" ? sender.obstacleOf(message) : undefined);
  if (why !== undefined)
    return { ...base, verdict: "skipped", differences: [], actual: undefined, why, tookMs: undefined };
  const startedMs = runtime.monotonic();
  const isAwaited = outcome !== undefined;
  let actual: RecordedOutcome;
  try {
    actual = { ok: true, result: (await sender.send(message, isAwaited)) ?? null };
  } catch (error) {
    signal?.throwIfAborted();
    if (kind === "order" && isSoormaError(error, "PLAN_REFUSED")) {
      // What came of the plan is compared with its goal.
      return { ...base, verdict: "skipped", differences: [], actual: undefined, why: error.message, tookMs: undefined };
    }
    actual = { ok: false, error: toFailure(error) };
  }
  const tookMs = runtime.monotonic() - startedMs;
  if (!isAwaited && actual.ok) return { ...base, verdict: "sent", differences: [], actual: undefined, tookMs };
  const expected: RecordedOutcome = outcome ?? { ok: true, result: null };
  const differences = differencesOf(expected, actual, comparison);
  return { ...base, verdict: differences.length > 0 ? "different" : "same", differences, actual, tookMs };
}

function differencesOf(
  recorded: RecordedOutcome,
  actual: RecordedOutcome,
  comparison: ReturnType<typeof createComparison>,
): readonly Difference[] {
  if (recorded.ok && actual.ok) return comparison("result", recorded.result, actual.result);
  // Messages have times and ids in them; what went wrong says the code.
  if (!recorded.ok && !actual.ok)
    return comparison("error", { code: recorded.error.code }, { code: actual.error.code });
  return [{ path: "", recorded: shownOf(recorded), actual: shownOf(actual) }];
}

function shownOf(outcome: RecordedOutcome): unknown {
  return outcome.ok
    ? { result: outcome.result }
    : { error: { code: outcome.error.code, message: outcome.error.message } };
}
