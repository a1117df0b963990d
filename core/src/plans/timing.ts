import type { Runtime, Timer } from "../runtime.ts";
import type { RetryPolicy } from "./log.ts";

export const defaultRetry: Required<RetryPolicy> = { maxAttempts: 3, backoffMs: 200, maxBackoffMs: 30_000 };

/**
 * Milliseconds to wait after the `failures`th failure: exponential with full jitter, so that tasks that failed together
 * do not come back together.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffDelay(runtime: Runtime, policy: Required<RetryPolicy>, failures: number): number {
  const ceiling = Math.min(policy.maxBackoffMs, policy.backoffMs * 2 ** (failures - 1));
  return Math.round(runtime.random() * ceiling);
}

/** Longer delays fire at once. Ref: https://developer.mozilla.org/docs/Web/API/Window/setTimeout#maximum_delay_value */
const longestTimerMs = 2 ** 31 - 1;

/** A timer for any delay, months included. */
export function setLongTimer(runtime: Runtime, callback: () => void, delayMs: number): Timer {
  if (delayMs <= longestTimerMs) return runtime.setTimer(callback, Math.max(0, delayMs));
  let timer = runtime.setTimer(() => {
    timer = setLongTimer(runtime, callback, delayMs - longestTimerMs);
  }, longestTimerMs);
  return { cancel: () => timer.cancel() };
}
