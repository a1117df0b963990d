import { SoormaError } from "../errors.ts";
import type { Pattern } from "../events/pattern.ts";
import type { Logger } from "../log.ts";
import type { Address, Transport } from "../plugin/transport.ts";
import type { DirectoryView, KnownNode } from "./directory-view.ts";
import type { Subscription } from "./event-fabric.ts";

export interface PublisherLinksOptions {
  readonly nodeId: string;
  readonly directory: DirectoryView;
  readonly transport: Pick<Transport, "join" | "leave">;
  readonly log: Logger;
  /** Of this node; live. */
  readonly subscriptions: Iterable<Subscription>;
  /** Called when a publisher is not in the directory any more. */
  readonly onGone: (nodeId: string) => void;
}

/** The nodes whose events this one receives: those that announce something which it subscribes to. */
export class PublisherLinks {
  readonly #o: PublisherLinksOptions;
  readonly #joined = new Map<Address, { nodeId: string; ready: Promise<void>; abort: AbortController }>();
  #closed = false;

  constructor(options: PublisherLinksOptions) {
    this.#o = options;
  }

  /** Joins the publishers that announce something subscribed to here, and leaves the others. */
  follow(): void {
    if (this.#closed) return;
    const { directory, nodeId, transport, log, onGone } = this.#o;
    for (const [address, join] of this.#joined) {
      const node = this.#nodeAt(address);
      if (node && this.#wants(node)) continue;
      this.#joined.delete(address);
      join.abort.abort(new SoormaError("PEER_UNREACHABLE", `${join.nodeId} left the mesh`));
      transport.leave(address);
      if (!node) onGone(join.nodeId);
    }
    for (const node of directory.nodes()) {
      if (node.nodeId === nodeId || this.#joined.has(node.address) || !this.#wants(node)) continue;
      const abort = new AbortController();
      const ready = transport.join(node.address, { signal: abort.signal }).catch((error) => {
        // It stays joined: the transport goes on connecting, and a peer that is really gone leaves the directory.
        if (!abort.signal.aborted) log.debug("join.failed", { node: node.nodeId, error });
      });
      this.#joined.set(node.address, { nodeId: node.nodeId, ready, abort });
    }
  }

  /** Resolves when those joined by now have the subscriptions of this node. */
  async ready(): Promise<void> {
    await Promise.all([...this.#joined.values()].map((join) => join.ready));
  }

  close(): void {
    this.#closed = true;
    for (const join of this.#joined.values()) join.abort.abort(new SoormaError("NODE_STOPPED", "the node has stopped"));
  }

  #nodeAt(address: Address): KnownNode | undefined {
    for (const node of this.#o.directory.nodes()) if (node.address === address) return node;
    return undefined;
  }

  #wants(node: KnownNode): boolean {
    for (const agent of node.agents.values()) {
      for (const { type, topic } of agent.produces) {
        const produced = this.#o.directory.pattern(type);
        for (const subscription of this.#o.subscriptions) {
          if (subscription.group !== undefined || !produced) continue;
          if (subscription.topic !== undefined && topic !== undefined && subscription.topic !== topic) continue;
          // A publisher may announce a pattern; rather connect once too often than miss something.
          if (produced.exact ? subscription.pattern.matches(type) : overlap(produced, subscription.pattern))
            return true;
        }
      }
    }
    return false;
  }
}

function overlap(a: Pattern, b: Pattern): boolean {
  return a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
}
