import { Interrupted } from "../ui/errors.ts";
import type { RunCommand } from "./spec.ts";

/** Milliseconds a command has after Ctrl-C to end by itself, and leave the mesh in order. */
const graceMs = 500;

/** A command that asks and prints the answer: Ctrl-C ends it, however long what it waits for might take. */
export function oneShot(run: RunCommand): RunCommand {
  return async (input) => {
    const over = Promise.withResolvers<never>();
    const { signal } = input.io;
    const end = (): void => void setTimeout(() => over.reject(new Interrupted()), graceMs);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    try {
      return await Promise.race([run(input), over.promise]);
    } finally {
      signal.removeEventListener("abort", end);
    }
  };
}
