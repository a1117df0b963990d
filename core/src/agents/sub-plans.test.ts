import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { changes, testOrigin } from "../../testing/plan-changes.ts";
import { SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { DispatchOptions, TaskAssignment } from "../plans/dispatcher.ts";
import type { PlanChange, PlanEntry } from "../plans/log.ts";
import type { NodeServices } from "./services.ts";
import { SubPlanDispatcher } from "./sub-plans.ts";

const { created, started } = changes;
const away = (): SoormaError => new SoormaError("STORE_UNAVAILABLE", "the state node is away");

/** A task that is a goal, dispatched by a planner from which the log is away for so many of its calls. */
function dispatched(outages: number) {
  const runtime = fakeRuntime();
  const list: PlanChange[] = [created({}, "inner-1"), started(), { type: "plan.completed", result: "done" }];
  const entries = list.map((change, i): PlanEntry => ({ ...change, version: i + 1, timeMs: 0, by: "inner-1" }));
  const seen = { submitted: 0, watched: 0, cancelled: [] as string[] };
  const aborting = new AbortController();
  const services = {
    node: {
      runtime,
      isClosing: false,
      directory: { planners: () => [{}] },
      until: async () => {},
      request: async () => {
        seen.submitted++;
        return { planId: "", agentId: "inner-1", agentName: "inner" };
      },
    },
    tracker: {
      async *watch(): AsyncGenerator<PlanEntry> {
        if (seen.watched++ < outages) throw away();
        yield* entries;
      },
      async cancelPlan(planId: string) {
        if (outages-- > 0) throw away();
        seen.cancelled.push(planId);
      },
    },
  } as unknown as NodeServices;
  const dispatcher = new SubPlanDispatcher({
    services,
    agentId: "outer-1",
    log: silentLogger,
    tasks: { dispatch: () => Promise.reject(new Error("no agent does it")) },
  });
  const assignment = { taskId: "p.1", goal: "inner.goal", failures: 0, attempt: 1, origin: testOrigin };
  const options = {
    signal: aborting.signal,
    get abortedWith() {
      return aborting.signal.aborted ? { reason: aborting.signal.reason } : undefined;
    },
    onAssigned: () => {},
    onProgress: () => {},
  };
  const end = dispatcher.dispatch(assignment as unknown as TaskAssignment, options as unknown as DispatchOptions);
  end.catch(() => {});
  return { runtime, seen, end, abort: (reason: unknown) => aborting.abort(reason) };
}

test("a sub-plan is waited for as long as the log is away: another attempt would begin a second one beside it", async () => {
  const { runtime, seen, end } = dispatched(3);
  await runtime.advance(10_000);
  expect(await end).toBe("done");
  expect(seen).toMatchObject({ submitted: 1, watched: 4, cancelled: [] });
});

test("one that is not wanted any more is cancelled when the log is back", async () => {
  const { runtime, seen, end, abort } = dispatched(100);
  await runtime.advance(1_000);
  abort(new SoormaError("TIMEOUT", "its time is over"));
  await runtime.advance(200_000);
  expect(await end.catch((error: SoormaError) => error.code)).toBe("TIMEOUT");
  expect(seen.cancelled).toHaveLength(1);
});
