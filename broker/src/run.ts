import { type Address, type Logger, type ProcessUsage, type Runtime, randomId, type Transport } from "@soorma/core";
import { createCodec, createPeerRpc, type NodeStats, statsMethod } from "@soorma/core/mesh";
import type { RegistryStatus } from "@soorma/core/registry";
import type { Store } from "@soorma/core/store";
import { createBroker } from "./server.ts";

export interface StartBrokerOptions {
  /** Not opened yet; the broker opens and closes it. */
  readonly transport: Transport;
  /** Closed by whoever opened it, after the broker. */
  readonly store: Store;
  /** Where to listen, in the transport's short form: `tcp://127.0.0.1:7700`. */
  readonly listen: Address;
  readonly runtime: Runtime;
  readonly log: Logger;
  /** See `BrokerOptions.leaseMs`. Milliseconds, default 10_000. */
  readonly leaseMs?: number;
  /** Default 16 MiB, as everywhere in the mesh. */
  readonly maxFrameBytes?: number;
  /** What the broker says of its process to who asks (`mesh.stats`). Default: nothing, and process id 0. */
  readonly process?: { readonly host: string; readonly pid: number; readonly usage: () => ProcessUsage };
}

export interface RunningBroker extends AsyncDisposable {
  /** The full address. The short form that was listened on reaches it too. */
  readonly address: Address;
  readonly nodeId: string;
  status(): RegistryStatus;
  close(): Promise<void>;
}

/**
 * Opens a transport and runs a broker on it.
 *
 * @throws {SoormaError} `ADDRESS_IN_USE` (a broker runs there already, or something else), `ADDRESS_INVALID`,
 * `TRANSPORT_UNSUPPORTED`; `STORE_*`. The transport is closed then.
 */
export async function startBroker(options: StartBrokerOptions): Promise<RunningBroker> {
  const { transport, store, listen, runtime, log, leaseMs, maxFrameBytes = 16 * 1024 * 1024, process } = options;
  const nodeId = `broker-${randomId(runtime, 12)}`;
  const rpc = createPeerRpc({ transport, codec: createCodec(), runtime, log: log.child("rpc") });
  try {
    const address = await transport.open({
      nodeId,
      listen,
      maxFrameBytes,
      handlers: {
        onMessage: (frame, from) => rpc.onMessage(frame, from),
        onPeer: (change) => rpc.onPeerChange(change),
        // A broker joins nobody and subscribes to nothing.
        onEvent: () => {},
        onSubscriber: () => {},
      },
    });
    rpc.started(nodeId, address);
    const broker = await createBroker({ rpc, store, runtime, log, ...(leaseMs === undefined ? {} : { leaseMs }) });
    const openedAt = runtime.monotonic();
    const stats = (): NodeStats => {
      const { agents, schemas, watchers, linked, revision } = broker.status();
      return {
        nodeId,
        role: "broker",
        host: process?.host ?? "",
        pid: process?.pid ?? 0,
        uptimeMs: runtime.monotonic() - openedAt,
        ...(process ? { process: process.usage() } : {}),
        agents: [],
        events: { published: 0, received: 0, malformed: 0, missed: 0, gaps: 0, duplicates: 0 },
        calls: rpc.stats(),
        transport: transport.stats(),
        registry: { agents, schemas, watchers, linked, revision },
      };
    };
    const answering = rpc.handle(statsMethod, stats);
    let closing: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      answering[Symbol.dispose]();
      try {
        await broker.close();
      } finally {
        rpc.stop();
        await transport.close();
      }
    };
    return {
      address,
      nodeId,
      status: broker.status,
      close: () => (closing ??= close()),
      [Symbol.asyncDispose]: () => (closing ??= close()),
    };
  } catch (error) {
    rpc.stop();
    await transport.close();
    throw error;
  }
}
