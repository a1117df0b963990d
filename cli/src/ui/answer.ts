import type { Io } from "./io.ts";
import { printable } from "./text.ts";

/**
 * Prints what somebody answered: text as it is, everything else as JSON over several lines. On a terminal without what
 * would move its cursor; a file or a program gets every character.
 */
export function printAnswer(value: unknown, io: Pick<Io, "out" | "stdoutColumns">): void {
  const text = typeof value === "string" ? value : (JSON.stringify(value, undefined, 2) ?? "null");
  io.out(io.stdoutColumns === undefined ? text : printable(text));
}
