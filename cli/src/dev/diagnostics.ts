import { readFileSync } from "node:fs";

/** A fault that TypeScript found. */
export interface Diagnostic {
  /** Absolute. */
  readonly file: string;
  /** From 1, like the column; both count UTF-16 units. */
  readonly line: number;
  readonly column: number;
  /** `TS2551: …`; further lines, which are indented, say more. */
  readonly message: string;
}

/** Message, place and the line itself with a mark under the fault. */
export function frameOf({ file, line, column, message }: Diagnostic): string {
  const text = readText(file)?.split("\n")[line - 1];
  const place = `${message}\n  at ${file}:${line}:${column}`;
  if (text === undefined) return place;
  const word = /^[\w$]+/.exec(text.slice(column - 1))?.[0].length ?? 1;
  const mark = " ".repeat(String(line).length + 3 + column - 1);
  return `${place}\n${line} | ${text}\n${mark}${"^".repeat(word)}`;
}

/** Line and column of an offset, from 1. */
export function placeOf(file: string, offset: number): { readonly line: number; readonly column: number } {
  const before = (readText(file) ?? "").slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
