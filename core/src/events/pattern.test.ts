import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { channelOf, channelPrefix, compilePattern, isType } from "./pattern.ts";
import { topicOf, topics } from "./topics.ts";

describe("event types", () => {
  test("are dot-separated tokens of letters, digits, _ and -", () => {
    for (const good of ["a", "order.created", "A1.b-c_d", "x".repeat(200)]) expect(isType(good)).toBe(true);
    for (const bad of ["", ".", "a.", ".a", "a..b", "a b", "a.*", "ä", "a/b", "x".repeat(201), 7, null, undefined]) {
      expect(isType(bad)).toBe(false);
    }
  });

  test("belong to the topic their last or first token says, else to business-facts", () => {
    const expected = {
      "research.requested": "action-requests",
      "research.request": "action-requests",
      "research.completed": "action-results",
      "research.result": "action-results",
      "research.response": "action-results",
      "plan.started": "plan-events",
      "task.progress": "task-events",
      "billing.charged": "billing-events",
      "notification.sent": "notification-events",
      "system.bus.gap": "system-events",
      "order.created": "business-facts",
      completed: "business-facts",
      plan: "business-facts",
      "constructor.called": "business-facts",
      "class.constructor": "business-facts",
      "plan.valueOf": "plan-events",
    };
    for (const [type, topic] of Object.entries(expected)) expect([type, topicOf(type)]).toEqual([type, topic as never]);
  });
});

describe("patterns", () => {
  test.each([
    ["order.created", "order.created", true],
    ["order.created", "order.created.late", false],
    ["order.*", "order.created", true],
    ["order.*", "order", false],
    ["order.*", "order.created.late", false],
    ["*.created", "order.created", true],
    ["order.>", "order.created.late", true],
    ["order.**", "order.created", true],
    ["order.>", "order", false],
    [">", "anything.at.all", true],
    ["*.b.>", "a.b.c", true],
    ["*.b.>", "a.c.c", false],
  ])("%s on %s is %p", (pattern, type, matches) => {
    expect(compilePattern(pattern).matches(type)).toBe(matches);
  });

  test.each(["", "a.", ">.a", "a.**.b", "a b", "a.*b", "a.%"])("%p is none", (source) => {
    expect(() => compilePattern(source)).toThrow(/is no event pattern/);
  });

  const tokenOf = fc.constantFrom("a", "b", "c", "order", "x1");
  const typeOf = fc.array(tokenOf, { minLength: 1, maxLength: 5 }).map((tokens) => tokens.join("."));

  test("whatever a pattern matches is on a channel its subscription covers", () => {
    const patternOf = fc
      .tuple(fc.array(fc.oneof(tokenOf, fc.constant("*")), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([tokens, rest]) => [...tokens, ...(rest ? [">"] : [])].join("."));
    fc.assert(
      fc.property(patternOf, typeOf, fc.constantFrom(...topics), fc.boolean(), (source, type, topic, withTopic) => {
        const pattern = compilePattern(source);
        if (!pattern.matches(type)) return true;
        return channelOf("t", type, topic).startsWith(channelPrefix("t", pattern, withTopic ? topic : undefined));
      }),
    );
  });

  test("no subscription of one tenant covers a channel of another", () => {
    fc.assert(
      fc.property(typeOf, fc.constantFrom(...topics), (type, topic) => {
        const channel = channelOf("acme", type, topic);
        return [">", "*", type].every((source) => !channel.startsWith(channelPrefix("acm", compilePattern(source))));
      }),
    );
  });
});
