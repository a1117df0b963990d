import { isSoormaError } from "../src/errors.ts";

/** The code a call fails with, thrown or rejected; for other errors their text, and "no error" for none. */
export async function codeOf(call: (() => unknown) | Promise<unknown>): Promise<string> {
  try {
    await (typeof call === "function" ? call() : call);
    return "no error";
  } catch (error) {
    return isSoormaError(error) ? error.code : String(error);
  }
}
