import { expect, test } from "bun:test";
import { fakeRuntime } from "../testing/fake-runtime.ts";
import { type ErrorCode, SoormaError } from "./errors.ts";
import type { StateCaller } from "./state-caller.ts";
import { createStateCalls } from "./state-calls.ts";

/** Calls a state node that answers so, one code after the other, and then well. */
async function outcome(codes: readonly ErrorCode[]): Promise<{ result: unknown; elapsedMs: number; left: number }> {
  const runtime = fakeRuntime();
  const left = [...codes];
  const caller: StateCaller = {
    async call<R>() {
      const code = left.shift();
      if (code) throw new SoormaError(code, `it says ${code}`);
      return "done" as R;
    },
    onNote: () => ({ [Symbol.dispose]() {} }),
    onReconnect: () => ({ [Symbol.dispose]() {} }),
  };
  let result: unknown;
  createStateCalls({ caller, runtime })("tracker.append", {}, "appending").then(
    (value) => (result = value),
    (error: SoormaError) => (result = error.code),
  );
  await runtime.runUntil(() => result !== undefined);
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
