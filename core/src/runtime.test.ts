import { expect, test } from "bun:test";
import { systemRuntime } from "./runtime.ts";

test.each([2 ** 31, Number.POSITIVE_INFINITY])(
  "a timer of %d ms does not fire at once, and can be forgotten",
  async (delayMs) => {
    const fired: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const long = systemRuntime.setTimer(() => void fired.push("long"), delayMs);
    systemRuntime.setTimer(() => {
      fired.push("short");
      resolve();
    }, 5);
    await promise;
    long.cancel();
    expect(fired).toEqual(["short"]);
  },
);
