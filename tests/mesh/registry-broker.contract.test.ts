import { type RunningBroker, startBroker } from "@soorma/broker";
import { type RegistryBackend, randomId, silentLogger, systemRuntime } from "@soorma/core";
import { createCodec, createPeerRpc } from "@soorma/core/mesh";
import { createMemoryStore } from "@soorma/core/store";
import { registryContract } from "@soorma/core/testing";
import brokerPlugin from "@soorma/registry-broker";
import { createHub, inproc } from "@soorma/transport-inproc";

const runtime = systemRuntime;
const log = silentLogger;
const listen = "inproc://broker";

registryContract(brokerPlugin, async () => {
  const hub = createHub({ runtime });
  const store = createMemoryStore();
  const start = (): Promise<RunningBroker> => startBroker({ transport: inproc(hub), store, listen, runtime, log });
  let broker = await start();
  const closers: (() => Promise<void>)[] = [];
  return {
    async connect(): Promise<RegistryBackend> {
      const transport = inproc(hub);
      const rpc = createPeerRpc({ transport, codec: createCodec(), runtime, log });
      const nodeId = `n-${randomId(runtime)}`;
      const address = await transport.open({
        nodeId,
        maxFrameBytes: 1 << 20,
        handlers: {
          onMessage: (frame, from) => rpc.onMessage(frame, from),
          onPeer: (change) => rpc.onPeerChange(change),
          onEvent: () => {},
          onSubscriber: () => {},
        },
      });
      rpc.started(nodeId, address);
      const options = { address: listen, timeoutMs: 800, checkMs: 500 };
      const backend = await brokerPlugin.create(options, { rpc, runtime, log });
      closers.push(async () => {
        await backend.close();
        rpc.stop();
        await transport.close();
      });
      return backend;
    },
    async outage() {
      hub.crash(broker.nodeId);
    },
    async restore() {
      broker = await start();
    },
    async [Symbol.asyncDispose]() {
      for (const close of closers) await close();
      await broker.close();
      await store.close();
    },
  };
});
