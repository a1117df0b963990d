import { expect, test } from "bun:test";
import { waitFor } from "@soorma/core/testing";
import { inproc } from "@soorma/transport-inproc";
import { inProcessMesh } from "./in-process.ts";

test("a paused agent finishes what it has and gets nothing new; resumed, it does again", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const gate = Promise.withResolvers<void>();
  const heard: string[] = [];
  const make = (id: string) => {
    const tool = mesh.tool({ name: "twin" });
    tool.onInvoke("who", async ({ data }) => {
      if (data.wait) await gate.promise;
      return id;
    });
    tool.onEvent("shared.thing", () => void heard.push(`group ${id}`));
    tool.onEvent("own.thing", () => void heard.push(`each ${id}`), { group: null });
    return tool;
  };
  const [one, two] = [make("one"), make("two")];
  await one.run();
  const client = await mesh.client();
  const slow = client.bus.request("who", { wait: true });
  await waitFor(() => one.stats().handlers.running === 1);
  await two.run();

  await one.pause();
  await one.pause();
  await waitFor(async () => (await client.registry.findAll("who")).length <= 1);
  for (let i = 0; i < 20; i++) expect(await client.bus.request("who", {})).toBe("two");
  await client.bus.publish("shared.thing", {});
  await client.bus.publish("own.thing", {});
  await waitFor(() => heard.length === 2);
  expect(heard.sort()).toEqual(["each two", "group two"]);
  gate.resolve();
  expect(await slow).toBe("one");

  await one.resume();
  await two.pause();
  await waitFor(async () => (await client.bus.request("who", {})) === "one");
  heard.length = 0;
  await client.bus.publish("own.thing", {});
  await client.bus.publish("shared.thing", {});
  await waitFor(() => heard.length === 2);
  expect(heard.sort()).toEqual(["each one", "group one"]);

  await one.stop();
  await one.resume();
});

test("an agent that is told to stop while it resumes gets nothing new", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const transport = inproc(mesh.hub);
  const tool = mesh.tool({ name: "slow", mesh: mesh.mesh({ transport }), drainMs: 60_000 });
  const gate = Promise.withResolvers<void>();
  tool.onInvoke("who", () => gate.promise);
  tool.onEvent("own.thing", () => {}, { group: null });
  await tool.run();
  const client = await mesh.client();
  const asked = client.bus.request("who", null);
  await waitFor(() => tool.stats().handlers.running === 1);

  await tool.pause();
  const subscribing = Promise.withResolvers<void>();
  const subscribed = Promise.withResolvers<void>();
  const subscribe = transport.subscribe.bind(transport);
  transport.subscribe = async (...args) => {
    subscribing.resolve();
    await subscribed.promise;
    await subscribe(...args);
  };
  const resumed = tool.resume();
  await subscribing.promise;
  const stopped = tool.stop();
  subscribed.resolve();
  await resumed;
  const { ready } = tool.record();
  gate.resolve();
  await Promise.all([asked, stopped]);
  expect(ready).toBe(false);
});
