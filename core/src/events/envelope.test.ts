import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createCodec } from "./codec.ts";
import { type Envelope, maxHops, packEnvelope, toCloudEvent, unpackEnvelope } from "./envelope.ts";
import { topics } from "./topics.ts";

const minimal: Envelope = {
  id: "n-1",
  source: "planner-1",
  specversion: "1.0",
  type: "order.created",
  time: 1_700_000_000_000,
  topic: "business-facts",
  data: { n: 1 },
  correlationId: "c",
  traceId: "t",
  tenantId: "default",
  hops: 0,
};

describe("an envelope on the wire", () => {
  const text = fc.string({ minLength: 1, maxLength: 40 });
  const envelopes = fc.record(
    {
      id: text,
      source: text,
      specversion: fc.constant("1.0" as const),
      type: fc.constantFrom("a", "a.b", "order.created"),
      time: fc.nat(),
      topic: fc.constantFrom(...topics),
      data: fc.jsonValue().filter((data) => !JSON.stringify(data).includes('"__proto__":')),
      correlationId: text,
      traceId: text,
      tenantId: text,
      hops: fc.nat({ max: maxHops }),
      subject: text,
      parentId: text,
      sessionId: text,
      userId: text,
      goalId: text,
      planId: text,
      taskId: text,
      attempt: fc.nat(),
      deadline: fc.nat(),
      responseEvent: text,
      responseTopic: fc.constantFrom(...topics),
      schema: text,
    },
    {
      requiredKeys: [
        "id",
        "source",
        "specversion",
        "type",
        "time",
        "topic",
        "data",
        "correlationId",
        "traceId",
        "tenantId",
        "hops",
      ],
    },
  );

  test("comes back as it was, whichever fields it carries", () => {
    const codec = createCodec();
    fc.assert(
      fc.property(envelopes, (envelope) => {
        const back = unpackEnvelope(codec.decode(codec.encode(packEnvelope(envelope))));
        expect(back).toEqual(JSON.parse(JSON.stringify(envelope)));
      }),
    );
  });

  test("a key that would change what objects inherit is another one", () => {
    const codec = createCodec();
    const data = JSON.parse('{"__proto__":{"isAdmin":true},"a":1}');
    const back = unpackEnvelope(codec.decode(codec.encode(packEnvelope({ ...minimal, data })))).data;
    expect(Object.entries(back as object)).toEqual([
      ["__proto_", { isAdmin: true }],
      ["a", 1],
    ]);
  });

  test("sends no field that is absent at the end", () => {
    expect(packEnvelope(minimal)).toHaveLength(12);
    expect(packEnvelope({ ...minimal, subject: "s" })).toHaveLength(13);
  });

  test("a data field set to undefined is an absent one", () => {
    const codec = createCodec();
    const packed = packEnvelope({ ...minimal, data: { a: undefined, b: 1 } });
    expect(unpackEnvelope(codec.decode(codec.encode(packed))).data).toEqual({ b: 1 });
  });

  test.each([
    [[], "no envelope"],
    ["text", "no envelope"],
    [[1, 2, 3], "no envelope"],
    [packEnvelope({ ...minimal, id: "" }), "an id is missing"],
    [packEnvelope({ ...minimal, id: "x".repeat(513) }), "an id is missing"],
    [packEnvelope({ ...minimal, type: "no type" }), "no event type"],
    [packEnvelope({ ...minimal, topic: "nonsense" as never }), "topic is unknown"],
    [packEnvelope({ ...minimal, hops: -1 }), "hops is no number"],
    [packEnvelope({ ...minimal, hops: 1.5 }), "hops is no number"],
    [packEnvelope({ ...minimal, time: "now" as never }), "time or hops"],
    [packEnvelope({ ...minimal, deadline: "x" as never }), "deadline"],
    [packEnvelope({ ...minimal, attempt: -1 }), "attempt"],
    [packEnvelope({ ...minimal, responseTopic: "x" as never }), "responseTopic"],
    [packEnvelope({ ...minimal, sessionId: 7 as never }), "sessionId"],
  ])("%# is refused", (value, why) => {
    expect(() => unpackEnvelope(value)).toThrow(why);
  });

  test("one that was passed on too often is refused", () => {
    expect(() => unpackEnvelope(packEnvelope({ ...minimal, hops: maxHops }))).not.toThrow();
    expect(() => unpackEnvelope(packEnvelope({ ...minimal, hops: maxHops + 1 }))).toThrow("the limit is 64");
  });

  test("as a CloudEvent it carries RFC 3339 time", () => {
    expect(toCloudEvent(minimal)).toMatchObject({
      specversion: "1.0",
      time: "2023-11-14T22:13:20.000Z",
      type: "order.created",
    });
  });

  test("random and truncated frames are refused with MESSAGE_MALFORMED and nothing else", () => {
    const codec = createCodec();
    const good = codec.encode(packEnvelope(minimal));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.nat({ max: good.length - 1 }).map((length) => good.slice(0, length)),
          fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })).map(([at, byte]) => good.with(at, byte)),
        ),
        (frame) => {
          try {
            unpackEnvelope(codec.decode(frame));
          } catch (error) {
            expect((error as { code?: string }).code).toMatch(/MESSAGE_MALFORMED|HOPS_EXCEEDED/);
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });
});
