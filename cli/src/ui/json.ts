import { UsageError } from "./errors.ts";
import { count } from "./text.ts";

/**
 * Reads JSON a person typed.
 *
 * @param otherwise - What else there is to do than to correct it; ends the hint.
 * @throws {UsageError} with the place of the first character that is wrong, and a mark under it.
 */
export function parseJsonArgument(text: string, what: string, otherwise?: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    const at = jsonFaultAt(text);
    // What is before it is right, so only the surroundings are of interest.
    const from = Math.max(0, at - 40);
    const around = text.slice(from, at + 20).replace(/\s/g, " ");
    const isCut = at >= text.length;
    const reason = isCut ? "it ends too early" : `${JSON.stringify(text[at])} was not expected there`;
    const place = isCut ? `after ${count(text.length, "character")}` : `character ${at + 1} of ${text.length}`;
    throw new UsageError(
      `${what} is not JSON: ${reason} (${place})\n  ${around}\n  ${" ".repeat(at - from)}^`,
      `names and texts stand in double quotes, and for the shell all of it in single ones: '{"key":"value"}'${otherwise === undefined ? "" : `; ${otherwise}`}`,
    );
  }
}

/** Index of the first character that cannot be part of any JSON text beginning like this one. */
export function jsonFaultAt(text: string): number {
  let at = 0;
  const space = (): void => {
    while (/[ \t\n\r]/.test(text[at] ?? "")) at++;
  };
  const literal = (word: string): boolean => {
    for (const character of word) {
      if (text[at] !== character) return false;
      at++;
    }
    return true;
  };
  const string = (): boolean => {
    at++;
    for (; at < text.length; at++) {
      const character = text[at] ?? "";
      if (character === '"') {
        at++;
        return true;
      }
      if (character < " ") return false;
      if (character === "\\") {
        at++;
        if (text[at] === "u") {
          for (let digits = 0; digits < 4; digits++) if (!/[0-9a-fA-F]/.test(text[++at] ?? "")) return false;
        } else if (!/["\\/bfnrt]/.test(text[at] ?? "")) return false;
      }
    }
    return false;
  };
  const number = (): boolean => {
    const [found] = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/.exec(text.slice(at)) ?? [];
    if (found !== undefined) at += found.length;
    else at++;
    return found !== undefined;
  };
  const list = (close: string, entry: () => boolean): boolean => {
    at++;
    space();
    if (text[at] === close) {
      at++;
      return true;
    }
    for (;;) {
      if (!entry()) return false;
      space();
      if (text[at] === close) {
        at++;
        return true;
      }
      if (text[at] !== ",") return false;
      at++;
      space();
    }
  };
  const value = (): boolean => {
    space();
    const character = text[at] ?? "";
    if (character === "{") {
      return list("}", () => {
        if (text[at] !== '"' || !string()) return false;
        space();
        if (text[at] !== ":") return false;
        at++;
        return value();
      });
    }
    if (character === "[") return list("]", value);
    if (character === '"') return string();
    if (/[-\d]/.test(character)) return number();
    return character === "t" ? literal("true") : character === "f" ? literal("false") : literal("null");
  };
  if (value()) space();
  return Math.min(at, text.length);
}
