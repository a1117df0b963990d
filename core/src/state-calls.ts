import { isSoormaError, SoormaError } from "./errors.ts";
import { type Runtime, sleep } from "./runtime.ts";
import type { StateCaller } from "./state-caller.ts";

export interface StateCallsOptions {
  readonly caller: StateCaller;
  readonly runtime: Runtime;
  /** How long a call goes on trying to reach the state node. Default 30_000. */
  readonly deadlineMs?: number;
  /** How long it waits for one answer. Default 5_000. */
  readonly attemptMs?: number;
}

export type StateCall = <Result>(
  method: string,
  params: unknown,
  what: string,
  signal?: AbortSignal,
) => Promise<Result>;

/**
 * Failures that tell of the way to the state node, not of what was asked of it. A node that is just stopping, or starting,
 * knows none of its methods.
 */
const passing: readonly string[] = [
  "PEER_UNREACHABLE",
  "TIMEOUT",
  "NO_RESPONDER",
  "METHOD_UNKNOWN",
  "OVERLOADED",
  "STORE_CLOSED",
];

/**
 * Calls that go on trying, with growing pauses, while the state node is away.
 *
 * What is called may be done twice if its answer is lost: pass an `operationId` where that matters.
 *
 * @returns a function that throws `STORE_UNAVAILABLE` at the deadline, saying what was attempted (`what`) and how often, and
 * `NODE_STOPPED` as soon as this node stops.
 */
export function createStateCalls(options: StateCallsOptions): StateCall {
  const { caller, runtime, deadlineMs = 30_000, attemptMs = 5_000 } = options;
  return async <Result>(method: string, params: unknown, what: string, signal?: AbortSignal): Promise<Result> => {
    const startMs = runtime.monotonic();
    for (let attempts = 1; ; attempts++) {
      signal?.throwIfAborted();
      const leftMs = deadlineMs - (runtime.monotonic() - startMs);
      try {
        const timeoutMs = Math.max(1, Math.min(attemptMs, leftMs));
        return await caller.call<Result>(method, params, { timeoutMs, ...(signal ? { signal } : {}) });
      } catch (error) {
        if (!isSoormaError(error) || !passing.includes(error.code)) throw error;
        const spentMs = runtime.monotonic() - startMs;
        const pauseMs = Math.min(2_000, 25 * 2 ** Math.min(attempts, 10)) * (0.5 + runtime.random() / 2);
        if (spentMs + pauseMs >= deadlineMs) {
          throw new SoormaError(
            "STORE_UNAVAILABLE",
            `${what}: the state node could not be reached in ${Math.round(spentMs)} ms (${attempts} attempts, the last: ${error.message})`,
            {
              cause: error,
              hint: "Is the state node running? `soorma dev --status` tells; what was acknowledged is safe.",
              details: { method, attempts, spentMs: Math.round(spentMs), lastCode: error.code },
            },
          );
        }
        await sleep(runtime, pauseMs, signal ? AbortSignal.any([signal, caller.closed]) : caller.closed);
      }
    }
  };
}
