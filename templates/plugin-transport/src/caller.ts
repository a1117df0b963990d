import type { Address } from "@soorma/core";
import type { Socket } from "bun";
import type { Host } from "./peer.ts";
import { decode, encode, type Kind, kinds, Wire } from "./wire.ts";

/** A connection that another node made to this one. What that node subscribed to is sent over it. */
export class Caller {
  readonly wire: Wire;
  /** What answers are sent to: `route:7#the-node`. Empty until it said who it is. */
  route: Address = "";
  nodeId = "";
  readonly #host: Host;
  readonly #prefixes = new Set<string>();

  constructor(
    host: Host,
    socket: Socket<Caller>,
    on: {
      readonly hello: (caller: Caller) => void;
      readonly gone: (caller: Caller, problem: string | undefined) => void;
    },
  ) {
    this.#host = host;
    this.wire = new Wire(socket, host.maxFrameBytes, {
      onFrame: (kind, content) => this.#take(kind, content, on.hello),
      onClose: (problem) => on.gone(this, problem),
    });
  }

  wants(channel: string): boolean {
    for (const prefix of this.#prefixes) if (channel.startsWith(prefix)) return true;
    return false;
  }

  #take(kind: Kind, content: Uint8Array, hello: (caller: Caller) => void): void {
    if (kind === kinds.hello) {
      this.nodeId = decode(content);
      hello(this);
      this.wire.write(kinds.hello, encode(this.#host.nodeId));
    } else if (this.route === "") {
      this.wire.end("a frame before it said who it is");
    } else if (kind === kinds.message) {
      this.#host.onMessage(content, this.route);
    } else if (kind === kinds.subscribe) {
      const { id, prefixes } = JSON.parse(decode(content)) as { id: string; prefixes: string[] };
      for (const prefix of prefixes) this.#prefixes.add(prefix);
      this.wire.write(kinds.subscribed, encode(id));
      this.#host.onSubscriber(this.nodeId);
    } else if (kind === kinds.unsubscribe) {
      for (const prefix of JSON.parse(decode(content)) as string[]) this.#prefixes.delete(prefix);
    }
  }
}
