import type { Runtime } from "../runtime.ts";
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
