import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { memoryPlanLog } from "../../testing/memory-plan-log.ts";
import { testOrigin } from "../../testing/plan-changes.ts";
import { silentLogger } from "../log.ts";
import { SignalWatches } from "./signal-watches.ts";

test("an attempt that is ended takes nothing from the next one at the same task in the same process", async () => {
  const runtime = fakeRuntime();
  const log = memoryPlanLog({ runtime }).as("w");
  const watches = new SignalWatches(log, runtime, silentLogger);
  const version = await log.append("p", 0, [
    { type: "plan.created", origin: testOrigin, driver: "w" },
    { type: "plan.started", tasks: [{ taskId: "p.1", name: "a", assignedTo: "x" }] },
    { type: "task.dispatched", taskId: "p.1", attempt: 1 },
    { type: "task.waiting", taskId: "p.1", attempt: 1, key: "input", on: { kind: "input", prompt: "?" } },
  ]);
  const first = watches.listen("p", "p.1", "input");
  first.from(version);
  const second = watches.listen("p", "p.1", "input");
  second.from(version);
  first[Symbol.dispose]();
  await log.record("p", { type: "task.signalled", taskId: "p.1", key: "input", value: "yes" });
  let value: unknown;
  second.value.then(
    (told) => (value = told),
    () => {},
  );
  await runtime.runUntil(() => value !== undefined, { maxMs: 60_000 });
  expect(value).toBe("yes");
  second[Symbol.dispose]();
});
