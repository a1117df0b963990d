import type { Colors } from "../ui/colors.ts";
import { reportOf } from "../ui/errors.ts";
import { colored, printable } from "../ui/text.ts";

/** How deep a value is shown. */
const depth = 6;

/** A value as a person reads it. What agents wrote into texts cannot move the cursor. */
export function showValue(value: unknown, options: { readonly json: boolean; readonly colors: boolean }): string {
  if (options.json) return JSON.stringify(value, jsonOf) ?? "null";
  const text = Bun.inspect(value, { colors: options.colors, depth });
  // In texts such characters stand as escapes, in messages of errors they do not.
  return options.colors ? colored(text) : printable(text);
}

function jsonOf(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return typeof value === "function" ? `[function ${value.name}]` : value;
}

/** What went wrong, with what to do about it. What was typed is no bug of anybody. */
export function showError(error: unknown, colors: Colors): string[] {
  const { code, message, hint } = reportOf(error);
  if (code !== "BUG") {
    return [
      `${colors.red("error")}: ${printable(message)}${colors.dim(` [${code}]`)}`,
      ...(hint === undefined ? [] : [`${colors.cyan("hint")}: ${printable(hint)}`]),
    ];
  }
  if (!(error instanceof Error)) return [`${colors.red("error")}: thrown: ${printable(Bun.inspect(error))}`];
  return [`${colors.red("error")}: ${printable(`${error.name}: ${error.message}`)}`];
}
