import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { createRpcNetwork } from "../../testing/rpc-network.ts";
import { createCodec } from "../events/codec.ts";
import type { Envelope } from "../events/envelope.ts";
import { compilePattern } from "../events/pattern.ts";
import { silentLogger } from "../log.ts";
import type { Transport } from "../plugin/transport.ts";
import { Balance } from "./balance.ts";
import { DirectoryView } from "./directory-view.ts";
import { EventFabric, type Subscription } from "./event-fabric.ts";

const tick: Envelope = {
  id: "1",
  source: "a",
  specversion: "1.0",
  type: "tick.tock",
  time: 0,
  topic: "business-facts",
  data: null,
  traceId: "t",
  correlationId: "t",
  tenantId: "default",
  hops: 0,
};

/** Events of a node whose transport notes what it is asked for; its subscriptions are in place when `place` is called. */
function fabric() {
  const runtime = fakeRuntime();
  const asked: string[] = [];
  const placed = Promise.withResolvers<void>();
  const transport = {
    subscribe: (prefix: string) => {
      asked.push(`+${prefix}`);
      return prefix.includes("tick") ? placed.promise : Promise.resolve();
    },
    publish: () => undefined,
    unsubscribe: (prefix: string) => void asked.push(`-${prefix}`),
  } as Partial<Transport> as Transport;
  const events = new EventFabric({
    nodeId: "n",
    tenantId: "default",
    transport,
    rpc: createRpcNetwork({ runtime }).node("n"),
    codec: createCodec(),
    directory: new DirectoryView("default"),
    balance: new Balance(runtime),
    runtime,
    log: silentLogger,
    maxFrameBytes: 1_000,
    onContact: () => {},
    onGap: () => {},
  });
  const subscription = (deliver: Subscription["deliver"] = () => undefined): Subscription => ({
    agentId: "a",
    pattern: compilePattern("tick.tock"),
    topic: undefined,
    group: undefined,
    deliver,
    full: () => false,
  });
  return { runtime, asked, place: placed.resolve, events, subscription };
}

test("a second subscription to the same is in place when the first one is, not before", async () => {
  const { runtime, place, events, subscription } = fabric();
  const ready: number[] = [];
  for (const n of [1, 2]) void events.subscribe(subscription()).then(() => void ready.push(n));
  await runtime.advance(1);
  expect(ready).toEqual([]);
  place();
  await runtime.advance(1);
  expect(ready).toEqual([1, 2]);
});

test("a subscription that is made again ends when it is ended once", async () => {
  const { asked, place, events, subscription } = fabric();
  place();
  const again = subscription();
  await events.subscribe(again);
  await events.subscribe(again);
  events.unsubscribe(again);
  expect(asked.filter((prefix) => prefix.includes("tick"))).toEqual(["+default.tick.tock.", "-default.tick.tock."]);
});

test("a handler does not wait for ever for a subscriber on its own node, which may be waiting for it; others do", async () => {
  const { runtime, place, events, subscription } = fabric();
  place();
  await events.subscribe(subscription(() => new Promise(() => {})));
  const published: string[] = [];
  const publish = (by: string, over: Partial<Envelope>): void => {
    const envelope = { ...tick, id: by, ...over };
    void Promise.resolve(events.publish(envelope)).then(() => void published.push(by));
  };
  publish("a handler", { parentId: "an event" });
  publish("an app", {});
  await runtime.advance(999);
  expect(published).toEqual([]);
  await runtime.advance(60_000);
  expect(published).toEqual(["a handler"]);
});
