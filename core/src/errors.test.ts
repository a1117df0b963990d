import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { errorCodes, fromFailure, isSoormaError, NonRetryableError, SoormaError, toFailure } from "./errors.ts";

const page = readFileSync(join(import.meta.dir, "..", "ERRORS.md"), "utf8");
const rows = [...page.matchAll(/^\| `(\w+)` +\| (yes|no) +\| (.+?) +\| (.+?) +\|$/gm)].map(
  ([, code = "", retryable = "", means = "", todo = ""]) => ({ code, retryable: retryable === "yes", means, todo }),
);

test("ERRORS.md lists every code with what it means and whether it may be tried again, and no other", () => {
  const listed = Object.fromEntries(rows.map(({ code, retryable, means }) => [code, { retryable, means }]));
  expect(rows.length).toBe(Object.keys(listed).length);
  expect(listed).toEqual(errorCodes);
});

test("a failure that went over the wire is the same error", () => {
  const error = new SoormaError("TIMEOUT", "it took 5 ms", { hint: "wait", details: { ms: 5 }, retryable: false });
  const back = fromFailure(JSON.parse(JSON.stringify(toFailure(error))));
  expect(isSoormaError(back, "TIMEOUT")).toBe(true);
  expect(back).toMatchObject({ message: "it took 5 ms", hint: "wait", details: { ms: 5 }, retryable: false });
});

test("whatever a handler throws becomes a failure without a stack", () => {
  expect(toFailure(new TypeError("no"))).toEqual({
    code: "HANDLER_FAILED",
    message: "TypeError: no",
    retryable: true,
  });
  expect(toFailure(new NonRetryableError("never"), "TASK_FAILED")).toEqual({
    code: "TASK_FAILED",
    message: "never",
    retryable: false,
  });
  for (const thrown of [undefined, null, 5, "text", {}, Symbol("s")]) {
    expect(toFailure(thrown)).toMatchObject({ code: "HANDLER_FAILED", retryable: true });
  }
});

test.each(["FROM_THE_FUTURE", "constructor", ""])("the unknown code %p is a failed handler, not a crash", (code) => {
  expect(fromFailure({ code, message: "new", retryable: false })).toMatchObject({
    code: "HANDLER_FAILED",
    message: "new",
    retryable: false,
  });
});

test("an error of another copy of this package is recognised, another error is not", () => {
  const foreign = Object.assign(new Error("x"), { name: "SoormaError", code: "TIMEOUT" });
  expect(isSoormaError(foreign, "TIMEOUT")).toBe(true);
  expect(isSoormaError(foreign, "CANCELLED")).toBe(false);
  expect(isSoormaError(new Error("x"))).toBe(false);
  expect(isSoormaError({ name: "SoormaError", code: "TIMEOUT" })).toBe(false);
});
