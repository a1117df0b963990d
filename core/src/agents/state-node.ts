import { isTopic } from "../events/topics.ts";
import { createStateService, type StateService } from "../state.ts";
import { stateCapability } from "../state-caller.ts";
import type { Store } from "../store/store.ts";
import { given } from "../tracker/tracker-calls.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import type { NodeServices } from "./services.ts";

export interface StateNodeOptions extends Omit<AgentOptions, "name"> {
  /** Owned by whoever opened it; closed by them after this agent stopped. */
  readonly store: Store;
  /** See `MemoryStoreOptions.sweepMs`. Milliseconds, default 1_000. */
  readonly sweepMs?: number;
  /** See `TrackerStoreOptions.foldBytes`. Default 256 MiB. */
  readonly cacheBytes?: number;
}

/** The agent that keeps a mesh's memory and tracker. One of them at a time owns a store. */
export class StateNode extends Agent {
  readonly kind = "service";
  readonly #store: Store;
  readonly #limits: Pick<StateNodeOptions, "sweepMs" | "cacheBytes">;
  #service: StateService | undefined;

  constructor({ store, sweepMs, cacheBytes, ...options }: StateNodeOptions) {
    super({ description: "Keeps memory and tracker", ...options, name: "state", capabilities: [stateCapability] });
    this.#store = store;
    this.#limits = given({ sweepMs, cacheBytes });
  }

  protected override async onStart({ node }: NodeServices): Promise<void> {
    const { rpc, runtime, directory } = node;
    this.#service = createStateService({
      rpc,
      store: this.#store,
      ...this.#limits,
      runtime,
      log: this.log,
      homeOf({ nodeId }) {
        for (const known of directory.nodes()) if (known.nodeId === nodeId) return known.address;
        return undefined;
      },
    });
  }

  protected override async onReady({ node }: NodeServices): Promise<void> {
    const { bus } = this.context;
    this.#service?.listenForEvents({
      tenant: node.tenantId,
      by: this.agentId,
      subscribe: async (pattern, topic, deliver) => {
        const subscription = await bus.subscribe(
          pattern,
          ({ respond: _respond, ...event }) => deliver(event),
          topic !== undefined && isTopic(topic) ? { topic } : {},
        );
        // An agent that stops has said so already; it need not take back one subscription after the other.
        return { [Symbol.asyncDispose]: async () => void (this.isStopping || (await subscription.unsubscribe())) };
      },
    });
  }

  protected override async onStop(): Promise<void> {
    await this.#service?.close();
  }
}
