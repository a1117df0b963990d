import { expect, test } from "bun:test";
import { createDebuggers } from "./debuggers.ts";

test("each agent has an address of its own that stays, and a port that is taken is passed over", () => {
  const debuggers = createDebuggers();
  const one = debuggers.urlOf("one");
  expect(one).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/one$/);
  const port = Number(new URL(one).port);
  const taken = Bun.listen({ hostname: "127.0.0.1", port: port + 1, socket: { data() {} } });
  expect(Number(new URL(debuggers.urlOf("two")).port)).toBeGreaterThan(port + 1);
  expect(debuggers.urlOf("one")).toBe(one);
  taken.stop(true);
});

test("that there is no port any more is told", () => {
  const last = Bun.listen({ hostname: "127.0.0.1", port: 65_535, socket: { data() {} } });
  expect(() => createDebuggers(65_535).urlOf("one")).toThrow(
    'there is no free port for the debugger of "one": none from 65535 to 65535',
  );
  last.stop(true);
});
