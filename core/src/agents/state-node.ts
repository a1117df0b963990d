import { createStateService, type StateService } from "../state.ts";
import { stateCapability } from "../state-caller.ts";
import type { Store } from "../store/store.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import type { NodeServices } from "./services.ts";

export interface StateNodeOptions extends Omit<AgentOptions, "name"> {
  /** Owned by whoever opened it; closed by them after this agent stopped. */
  readonly store: Store;
}

/** The agent that keeps a mesh's memory and tracker. One of them at a time owns a store. */
export class StateNode extends Agent {
  readonly kind = "service";
  readonly #store: Store;
  #service: StateService | undefined;

  constructor({ store, ...options }: StateNodeOptions) {
    super({ description: "Keeps memory and tracker", ...options, name: "state", capabilities: [stateCapability] });
    this.#store = store;
  }

  protected override async onStart({ node }: NodeServices): Promise<void> {
    this.#service = createStateService({ rpc: node.rpc, store: this.#store, runtime: node.runtime, log: this.log });
  }

  protected override async onStop(): Promise<void> {
    await this.#service?.close();
  }
}
