/** What core/GUARANTEES.md promises, where no other test was about just that. */
import { expect, test } from "bun:test";
import { isSoormaError } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";

const quick = { state: false };

test("an event is kept nowhere: who subscribes later does not get it, and publishing to nobody is fine", async () => {
  await using mesh = await inProcessMesh(quick);
  const publisher = await mesh.client({ produces: ["order.created"] });
  await publisher.bus.publish("order.created", { n: 1 });
  const subscriber = await mesh.client();
  const seen: number[] = [];
  await subscriber.bus.subscribe("order.created", ({ data }) => void seen.push(data.n));
  await publisher.bus.publish("order.created", { n: 2 });
  await waitFor(() => seen.length > 0);
  expect(seen).toEqual([2]);
});

test("a member of a group that is lost before it took an event is replaced by another: publish() waits for that", async () => {
  await using mesh = await inProcessMesh(quick);
  const got: Record<string, number[]> = { first: [], second: [] };
  const members = await Promise.all(
    ["first", "second"].map(async (key) => {
      const worker = mesh.worker({ name: "billing" });
      worker.onEvent("order.created", ({ data }) => void got[key]?.push(data));
      await worker.run();
      return worker;
    }),
  );
  const publisher = await mesh.client();
  const [first] = members;
  if (!first) throw new Error("there is no first member");
  // The directory may not know it yet.
  mesh.hub.crash(first.record().nodeId);
  const events = Array.from({ length: 10 }, (_, n) => n);
  await Promise.all(events.map((n) => publisher.bus.publish("order.created", n)));
  await waitFor(() => got.second?.length === events.length);
  expect([...(got.second ?? [])].sort((a, b) => a - b)).toEqual(events);
  expect(got.first).toEqual([]);
});

test("a request whose agent is lost while it works is asked of another one: the handler may run twice, the answer is one", async () => {
  await using mesh = await inProcessMesh(quick);
  const begun: string[] = [];
  const answer = async (key: string) => {
    const tool = mesh.tool({ name: "calculator", capabilities: ["arithmetic"] });
    tool.onInvoke("calculate", () => {
      begun.push(key);
      return key === "lost" ? new Promise(() => {}) : { by: key };
    });
    await tool.run();
    return tool;
  };
  const lost = await answer("lost");
  const client = await mesh.client();
  const asked = client.bus.request("calculate", {}, { timeoutMs: 20_000 });
  await waitFor(() => begun.length === 1);
  await answer("other");
  mesh.hub.crash(lost.record().nodeId);
  expect(await asked).toEqual({ by: "other" });
  expect(begun).toEqual(["lost", "other"]);
});

test("a request that a handler refuses is not asked of another agent", async () => {
  await using mesh = await inProcessMesh(quick);
  let begun = 0;
  for (let i = 0; i < 2; i++) {
    const tool = mesh.tool({ name: "calculator", capabilities: ["arithmetic"] });
    tool.onInvoke("calculate", () => {
      begun++;
      throw new Error("divided by zero");
    });
    await tool.run();
  }
  const client = await mesh.client();
  const failure = await client.bus.request("calculate", {}, { timeoutMs: 20_000 }).catch((error: unknown) => error);
  expect(isSoormaError(failure, "HANDLER_FAILED")).toBe(true);
  expect(begun).toBe(1);
});
