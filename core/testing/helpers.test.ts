import { describe, expect, test } from "bun:test";
import { collectingLogger } from "./collecting-logger.ts";
import { waitFor } from "./wait-for.ts";

describe("waitFor", () => {
  test("gives what the condition gave once it is truthy", async () => {
    let calls = 0;
    expect(await waitFor(() => (++calls > 30 ? `after ${calls}` : undefined))).toBe("after 31");
  });

  test("waits for promises, and takes an error as not yet", async () => {
    let calls = 0;
    const value = await waitFor(async () => {
      if (++calls < 3) throw new Error("not yet");
      return calls;
    });
    expect(value).toBe(3);
  });

  test("gives up after its time, saying what it waited for, with the last error as the cause", async () => {
    const failed = await waitFor(
      () => {
        throw new Error("nobody there");
      },
      { timeoutMs: 5, message: () => "3 of 4 have joined" },
    ).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Error);
    expect((failed as Error).message).toBe("waited 5 ms: 3 of 4 have joined");
    expect((failed as Error).cause).toEqual(new Error("nobody there"));
  });
});

describe("collectingLogger", () => {
  test("keeps every line of itself and of its children, at every level", () => {
    const log = collectingLogger(() => 42);
    log.child("transport", { node: "a" }).child("zeromq").warn("peer.down", { reason: "killed" });
    log.debug("tick");
    expect(log.lines).toEqual([
      {
        level: "warn",
        event: "peer.down",
        component: "transport.zeromq",
        timeMs: 42,
        fields: { node: "a", reason: "killed" },
      },
      { level: "debug", event: "tick", component: "", timeMs: 42, fields: {} },
    ]);
    expect(log.fieldsOf("peer.down")).toEqual([{ node: "a", reason: "killed" }]);
    expect(log.events()).toEqual(["peer.down", "tick"]);
    expect(log.events("warn")).toEqual(["peer.down"]);
  });
});
