export interface WaitForOptions {
  /** Default 10_000. */
  readonly timeoutMs?: number;
  /** What was waited for, or a function that says how far it got: the error ends with it. */
  readonly message?: string | (() => string);
}

/**
 * Waits, in real time, until `condition` gives something truthy, and returns that.
 *
 * @throws {Error} after `timeoutMs`; whatever `condition` threw last is its cause.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<Awaited<T>, false | 0 | "" | null | undefined>> {
  const { timeoutMs = 10_000, message = "the condition does not hold" } = options;
  const endMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (let round = 0; ; round++) {
    try {
      const value = await condition();
      if (value) return value as Exclude<Awaited<T>, false | 0 | "" | null | undefined>;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > endMs) {
      const what = typeof message === "string" ? message : message();
      throw new Error(`waited ${timeoutMs} ms: ${what}`, cause === undefined ? {} : { cause });
    }
    // Nearly always it holds after a few turns; after that, leave the processor to those it depends on.
    await (round < 20 ? new Promise((resolve) => setImmediate(resolve)) : Bun.sleep(round < 200 ? 1 : 10));
  }
}
