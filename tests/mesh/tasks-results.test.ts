import { expect, test } from "bun:test";
import type { AnyData } from "@soorma/core";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

test("a result that cannot be sent fails its task at once, says where it is wrong, and is not tried again", async () => {
  await using mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("run", ({ data }) => ({ tasks: [{ name: "main", assignedTo: data }] }));
  await planner.run();
  const loop: AnyData = { items: [1] };
  loop.items.push(loop);
  const worker = mesh.worker({ name: "worker" });
  worker.onTask("loop", () => loop);
  worker.onTask("huge", () => ({ count: 10n ** 50n }));
  worker.onTask("forgetful", () => ({ papers: Promise.resolve([]) }));
  await worker.run();
  const client = await mesh.client();
  const wrong = {
    loop: "result.items[1] is an object that contains itself",
    huge: "result.count is an integer of more than 64 bits",
    forgetful: "result.papers is a Promise (is an await missing?)",
  };
  for (const [name, why] of Object.entries(wrong)) {
    const run = await client.submitGoal("run", name);
    const failure = await failureOf(run.result({ timeoutMs: 20_000 }));
    expect(failure).toThrow(expect.objectContaining({ message: expect.stringContaining(why) }));
    expect((await run.plan()).tasks).toMatchObject([{ status: "failed", attempt: 1 }]);
  }
}, 60_000);
