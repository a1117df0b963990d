import { expect, test } from "bun:test";
import { fakeRuntime } from "../testing/fake-runtime.ts";
import { type ErrorCode, SoormaError } from "./errors.ts";
import type { StateCaller } from "./state-caller.ts";
import { createStateCalls } from "./state-calls.ts";

/** Calls a state node that answers so, one code after the other, and then well. */
async function outcome(
  codes: readonly ErrorCode[],
  closed?: AbortController,
): Promise<{ result: unknown; elapsedMs: number; left: number }> {
  const runtime = fakeRuntime();
  const left = [...codes];
  if (closed) runtime.setTimer(() => closed.abort(new SoormaError("NODE_STOPPED", "this node has stopped")), 1_000);
  const caller: StateCaller = {
    async call<R>() {
      const code = left.shift();
      if (code) throw new SoormaError(code, `it says ${code}`);
      return "done" as R;
    },
    onNote: () => ({ [Symbol.dispose]() {} }),
    onReconnect: () => ({ [Symbol.dispose]() {} }),
    closed: closed?.signal ?? new AbortController().signal,
  };
  let result: unknown;
  createStateCalls({ caller, runtime })("tracker.append", {}, "appending").then(
    (value) => (result = value),
    (error: SoormaError) => (result = error.code),
  );
  await runtime.runUntil(() => result !== undefined);
  expect(runtime.pending).toBe(0);
  return { result, elapsedMs: runtime.elapsedMs, left: left.length };
}

test("a state node that is away, stopping or starting is waited for", async () => {
  const away = ["PEER_UNREACHABLE", "METHOD_UNKNOWN", "NO_RESPONDER", "STORE_CLOSED", "TIMEOUT"] as const;
  const { result, elapsedMs } = await outcome(away);
  expect(result).toBe("done");
  expect(elapsedMs).toBeLessThan(3_000);
});

test("what the state node refuses is not tried again, nor anything once this node has stopped", async () => {
  for (const code of ["PLAN_CONFLICT", "VERSION_CONFLICT", "STORE_FULL", "NODE_STOPPED"] as const) {
    expect(await outcome([code, code])).toEqual({ result: code, elapsedMs: 0, left: 1 });
  }
});

test("a state node that stays away is an error at the deadline", async () => {
  const { result, elapsedMs } = await outcome(Array.from({ length: 1_000 }, () => "NO_RESPONDER" as const));
  expect(result).toBe("STORE_UNAVAILABLE");
  expect(elapsedMs).toBeLessThanOrEqual(30_000);
});

test("who pauses for the next attempt is done when its node stops", async () => {
  const { result, elapsedMs } = await outcome(Array(1_000).fill("NO_RESPONDER"), new AbortController());
  expect({ result, elapsedMs }).toEqual({ result: "NODE_STOPPED", elapsedMs: 1_000 });
});
