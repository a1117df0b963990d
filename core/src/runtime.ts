import type { ProcessUsage } from "./mesh/node-stats.ts";

/**
 * Everything a part of Soorma may know about the world outside its arguments: time, timers and chance.
 *
 * Nothing in core takes these from a global, so a whole mesh can run in one process from one seed with virtual
 * time. Use {@link systemRuntime} in production.
 */
export interface Runtime {
  /** Wall clock, milliseconds since the Unix epoch. May jump; compare it only with other wall-clock stamps. */
  now(): number;
  /** Monotonic milliseconds from an arbitrary start, with fractions. For measuring how long something took. */
  monotonic(): number;
  /**
   * Calls `callback` once after `delayMs`, be it months or `Infinity`. A pending timer does not keep the process alive when
   * `background`.
   */
  setTimer(callback: () => void, delayMs: number, options?: TimerOptions): Timer;
  /** Calls `callback` after I/O had a turn. */
  defer(callback: () => void): void;
  /** A number in [0, 1). */
  random(): number;
}

export interface TimerOptions {
  /** Does not keep the process alive. Default false. */
  readonly background?: boolean;
}

export interface Timer {
  /** Forgets the timer; after it fired, or a second time, this does nothing. */
  cancel(): void;
}

/** `setTimeout` fires at once for more. Ref: https://html.spec.whatwg.org/#timers (signed 32 bit). */
const longestTimeoutMs = 2 ** 31 - 1;

/** The real clock, timers and randomness of this process. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(callback, delayMs, options) {
    let handle: ReturnType<typeof setTimeout>;
    const set = (leftMs: number): void => {
      handle =
        leftMs > longestTimeoutMs
          ? setTimeout(() => set(leftMs - longestTimeoutMs), longestTimeoutMs)
          : setTimeout(callback, leftMs);
      if (options?.background) handle.unref();
    };
    set(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  defer(callback) {
    setImmediate(callback);
  },
  random: () => Math.random(),
};

/** Measures this process, for what its node says of itself. */
export function systemUsage(): ProcessUsage {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    uptimeMs: process.uptime() * 1_000,
    rssBytes: rss,
    heapBytes: heapUsed,
    cpuMs: (user + system) / 1_000,
  };
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(runtime: Runtime, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = runtime.setTimer(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Waits for `promise`, but no longer than `timeoutMs`: what it does goes on. Rejects if it rejects in time. */
export async function atMost(runtime: Runtime, timeoutMs: number, promise: Promise<unknown>): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = runtime.setTimer(over.resolve, timeoutMs);
  try {
    await Promise.race([promise, over.promise]);
  } finally {
    timer.cancel();
  }
}

/** A signal that aborts with `reason()` after `timeoutMs`; dispose it to forget the timer. */
export function timeoutSignal(
  runtime: Runtime,
  timeoutMs: number,
  reason: () => unknown,
): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const timer = runtime.setTimer(() => controller.abort(reason()), timeoutMs);
  return { signal: controller.signal, [Symbol.dispose]: () => timer.cancel() };
}

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";

/** A random lower-case identifier of `length` base-36 characters; 16 carry 82 bits. */
export function randomId(runtime: Runtime, length = 16): string {
  let id = "";
  for (let i = 0; i < length; i++) id += alphabet[Math.floor(runtime.random() * 36)];
  return id;
}
