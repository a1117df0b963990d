import { SoormaError } from "../src/errors.ts";
import { silentLogger } from "../src/log.ts";
import { createMemoryClient } from "../src/memory/client.ts";
import type { Memory } from "../src/memory/contract.ts";
import type { StateCaller } from "../src/state-caller.ts";
import { createStateService, type StateService } from "../src/state-service.ts";
import { createMemoryStore } from "../src/store/memory-store.ts";
import type { Store } from "../src/store/store.ts";
import { createTrackerClient, type TrackerClient } from "../src/tracker/client.ts";
import { type FakeRuntime, fakeRuntime } from "./fake-runtime.ts";
import { createRpcNetwork, type RpcMessage, type RpcNetworkNode } from "./rpc-network.ts";

/** Where the state node of a {@link stateStage} is. */
export const stageHome = "inproc://state";

/** An agent's node, with its clients of the state node. */
interface StageNode {
  readonly node: RpcNetworkNode;
  readonly caller: StateCaller;
  readonly memory: Memory;
  readonly tracker: TrackerClient;
}

export interface StateStage {
  readonly runtime: FakeRuntime;
  readonly store: Store;
  /** Another node, as an agent's process has one. */
  node(address: string): StageNode;
  /** Starts the state node (again). */
  start(): StateService;
  /** As if killed: no goodbye, and what was not on disk is lost with it. */
  kill(): Promise<void>;
  intercept(handler: (message: RpcMessage) => "drop" | undefined): void;
  /** Lets virtual time pass until the promise settles. */
  settled<T>(promise: Promise<T>): Promise<T>;
}

/** A network with a store that outlives its state nodes, and virtual time. */
export function stateStage(store: Store = createMemoryStore()): StateStage {
  const runtime = fakeRuntime();
  let onSend: (message: RpcMessage) => "drop" | undefined = () => undefined;
  const network = createRpcNetwork({ runtime, onSend: (message) => onSend(message) });
  const reconnects = new Set<() => void>();
  let state: { readonly node: RpcNetworkNode; readonly service: StateService } | undefined;
  let ids = 0;
  return {
    runtime,
    store,
    node(address) {
      const node = network.node(address);
      const caller: StateCaller = {
        async call(method, params, options) {
          if (!state) throw new SoormaError("NO_RESPONDER", `nobody answers "${method}"`);
          return node.call(stageHome, method, params, options);
        },
        closed: new AbortController().signal,
        onNote: (method, listener) => node.handle(method, ({ params }) => listener(params)),
        onReconnect(listener) {
          reconnects.add(listener);
          return { [Symbol.dispose]: () => void reconnects.delete(listener) };
        },
      };
      const options = { caller, runtime, tenant: "acme", nextId: () => `id${++ids}` };
      return { node, caller, memory: createMemoryClient(options), tracker: createTrackerClient(options) };
    },
    start() {
      const node = network.node(stageHome);
      const service = createStateService({ rpc: node, store, runtime, log: silentLogger });
      state = { node, service };
      for (const listener of reconnects) listener();
      return service;
    },
    async kill() {
      state?.node.stop();
      await state?.service.close();
      state = undefined;
    },
    intercept(handler) {
      onSend = handler;
    },
    async settled<T>(promise: Promise<T>): Promise<T> {
      let done = false;
      const finish = (): void => {
        done = true;
      };
      promise.then(finish, finish);
      await runtime.runUntil(() => done);
      return promise;
    },
  };
}
