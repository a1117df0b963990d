import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { AnsweredCall } from "./answered-call.ts";

const peer = { address: "there", nodeId: "n-there" };

test("a signal aborts when the caller's time is over, however late the handler looks at it", async () => {
  const runtime = fakeRuntime();
  const [late, tooLate] = [1, 2].map(() => new AnsweredCall(null, peer, runtime, 5_000));
  await runtime.advance(4_000);
  const aborts = late?.signal;
  expect(aborts?.aborted).toBe(false);
  await runtime.advance(1_000);
  expect([aborts?.aborted, tooLate?.signal.aborted]).toEqual([true, true]);
  expect(aborts?.reason).toMatchObject({ code: "TIMEOUT", message: "the caller's 5000 ms are over" });
});

test("a signal that is first looked at when the caller has given up has aborted", () => {
  const runtime = fakeRuntime();
  const call = new AnsweredCall(null, peer, runtime, 5_000);
  call.giveUp("enough");
  expect([call.signal.aborted, call.signal.reason]).toEqual([true, "enough"]);
  expect(runtime.pending).toBe(0);
});

test("a signal that is first looked at when the call is answered leaves no timer", () => {
  const runtime = fakeRuntime();
  const call = new AnsweredCall(null, peer, runtime, 5_000);
  call.release();
  expect(call.signal.aborted).toBe(false);
  expect(runtime.pending).toBe(0);
});
