import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Envelope } from "./envelope.ts";
import { type EventWhere, findWhereProblem, matchesWhere } from "./where.ts";

const event = (data: unknown, more: Partial<Envelope> = {}): Envelope => ({
  id: "e1",
  source: "shop",
  specversion: "1.0",
  type: "order.paid",
  time: 1,
  topic: "business-facts",
  data,
  traceId: "t1",
  correlationId: "c1",
  tenantId: "default",
  hops: 0,
  ...more,
});

describe("matchesWhere", () => {
  test("all parts have to be exactly what is said", () => {
    const paid = event({ orderId: 7, ok: true, none: null, by: { name: "Ann" }, items: [{ id: "a" }] });
    const yes: EventWhere[] = [
      {},
      { "data.orderId": 7 },
      { "data.ok": true, "data.none": null },
      { "data.by.name": "Ann", correlationId: "c1" },
      { "data.items.0.id": "a" },
    ];
    const no: EventWhere[] = [
      { "data.orderId": "7" },
      { "data.orderId": 8 },
      { "data.orderId": 7, "data.ok": false },
      { "data.missing": null },
      { "data.none.deeper": null },
      { "data.orderId.toFixed": null },
      { sessionId: "s1" },
    ];
    expect(yes.map((where) => matchesWhere(paid, where))).toEqual(yes.map(() => true));
    expect(no.map((where) => matchesWhere(paid, where))).toEqual(no.map(() => false));
    expect(matchesWhere(paid, undefined)).toBe(true);
  });

  test("what an object inherits is no part of it", () => {
    const inherited = event(Object.create({ orderId: 7 }));
    expect(matchesWhere(inherited, { "data.orderId": 7 })).toBe(false);
    expect(matchesWhere(event({}), { "data.constructor.name": "Object" })).toBe(false);
    expect(matchesWhere(event({}), { "data.__proto__.constructor.name": "Object" })).toBe(false);
  });

  test("never throws, whatever the data is", () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), fc.string(), (data, path, value) => {
        expect(typeof matchesWhere(event(data), { [`data.${path}`]: value })).toBe("boolean");
      }),
    );
  });
});

test("what cannot be compared is found", () => {
  const problems: [unknown, string | undefined][] = [
    [[], undefined],
    ["data.a", undefined],
    [null, undefined],
    [{ orderId: 7 }, "orderId"],
    [{ data: 7 }, "data"],
    [{ "data.": 7 }, "data."],
    [{ "data..a": 7 }, "data..a"],
    [{ "data.a": {} }, "data.a"],
    [{ "data.a": [1] }, "data.a"],
    [{ "data.a": undefined }, "data.a"],
    [{ "data.a": Number.NaN }, "data.a"],
    [{ "data.a": "x".repeat(1_001) }, "data.a"],
    [{ [`data.${"x".repeat(200)}`]: 1 }, `data.${"x".repeat(200)}`],
    [Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`data.${i}`, i])), undefined],
  ];
  for (const [where, path] of problems) {
    const found = findWhereProblem(where);
    expect(found).toBeDefined();
    expect(found?.path).toBe(path);
  }
  expect(findWhereProblem({ "data.a.b": null, "data.c": -1.5, traceId: "t" })).toBeUndefined();
});
