import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { agentRecord } from "../../testing/records.ts";
import { Balance } from "./balance.ts";

const agents = (count: number) => Array.from({ length: count }, (_, n) => agentRecord({ agentId: `a${n}` }));

test("of two the one with less outstanding is chosen, whichever of them comes first", () => {
  const balance = new Balance(fakeRuntime({ seed: 1 }));
  const both = agents(2);
  balance.enter("a0");
  for (const candidates of [both, both.toReversed()]) {
    for (let n = 0; n < 100; n++) expect(balance.pick(candidates)?.agentId).toBe("a1");
  }
  balance.leave("a0");
  const chosen = new Set(Array.from({ length: 100 }, () => balance.pick(both)?.agentId));
  expect([...chosen].sort()).toEqual(["a0", "a1"]);
});

test("of many two are looked at: the busiest is not chosen, and all have about the same", () => {
  const balance = new Balance(fakeRuntime({ seed: 2 }));
  const many = agents(10);
  for (let n = 0; n < 50; n++) balance.enter("a3");
  for (let n = 0; n < 400; n++) {
    const { agentId = "" } = balance.pick(many) ?? {};
    expect(agentId).not.toBe("a3");
    balance.enter(agentId);
  }
  const loads = many.map(({ agentId }) => balance.outstanding(agentId));
  // At random alone some would have thirty, others sixty.
  expect(Math.max(...loads) - Math.min(...loads)).toBeLessThan(10);
});

test("there is no choice among one or none, and what has begun ends once", () => {
  const balance = new Balance(fakeRuntime({ seed: 3 }));
  const [only] = agents(1);
  expect([balance.pick([]), only && balance.pick([only])]).toEqual([undefined, only]);
  const begun = [balance.begin("a0"), balance.begin("a0")];
  begun[0]?.[Symbol.dispose]();
  begun[0]?.[Symbol.dispose]();
  expect(balance.outstanding("a0")).toBe(1);
});
