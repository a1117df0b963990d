import type { Address } from "../plugin/transport.ts";
import { readNodeId } from "./address.ts";
import type { Host } from "./host.ts";
import type { Stream } from "./network.ts";
import { decode, encode, type Kind, kinds, Wire } from "./wire.ts";

export interface CallerEvents {
  /** It said who it is, and gets the address that answers are sent to. */
  hello(caller: Caller): Address;
  /** `problem` when it broke the protocol. */
  gone(caller: Caller, problem: string | undefined): void;
}

/** A connection that another node made to this one. What that node subscribed to is sent over it. */
export class Caller {
  readonly wire: Wire;
  nodeId: string | undefined;
  /** What answers are sent to; undefined until it said who it is. */
  route: Address | undefined;
  readonly #host: Host;
  readonly #on: CallerEvents;
  readonly #prefixes = new Set<string>();

  constructor(host: Host, stream: Stream, on: CallerEvents) {
    this.#host = host;
    this.#on = on;
    this.wire = new Wire(stream, host.maxFrameBytes, {
      onFrame: (kind, content) => this.#take(kind, content),
      onClose: (problem) => on.gone(this, problem),
    });
  }

  wants(channel: string): boolean {
    for (const prefix of this.#prefixes) if (channel.startsWith(prefix)) return true;
    return false;
  }

  #take(kind: Kind, content: Uint8Array): void {
    if (kind === kinds.hello) {
      this.nodeId ??= readNodeId(decode(content));
      this.route ??= this.#on.hello(this);
      this.wire.write(kinds.hello, encode(this.#host.nodeId));
      return;
    }
    const { nodeId, route } = this;
    if (nodeId === undefined || route === undefined) {
      this.wire.end("a frame before it said who it is");
      return;
    }
    switch (kind) {
      case kinds.message:
        this.#host.onMessage(content, route);
        return;
      case kinds.subscribe: {
        const { id, prefixes } = JSON.parse(decode(content)) as { id: string; prefixes: string[] };
        for (const prefix of prefixes) this.#prefixes.add(prefix);
        this.wire.write(kinds.subscribed, encode(id));
        this.#host.onSubscriber(nodeId);
        return;
      }
      case kinds.unsubscribe:
        for (const prefix of JSON.parse(decode(content)) as string[]) this.#prefixes.delete(prefix);
        return;
      default:
        this.wire.end(`a frame of kind ${kind}, which a caller does not send`);
    }
  }
}
