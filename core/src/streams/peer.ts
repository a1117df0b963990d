import { SoormaError } from "../errors.ts";
import type { Address } from "../plugin/transport.ts";
import type { Timer } from "../runtime.ts";
import { parseTarget, readNodeId } from "./address.ts";
import type { Host } from "./host.ts";
import { decode, encode, type Kind, kinds, Wire } from "./wire.ts";

interface Waiter {
  resolve(): void;
  reject(reason: unknown): void;
}

/** An address that this node wants to be connected to: tried again until it is given up. */
export class Peer {
  linked = false;
  joined = false;
  readonly address: Address;
  /** Of whoever listens there, while the connection is up. */
  nodeId: string | undefined;
  readonly #host: Host;
  readonly #place: Address;
  readonly #expected: string | undefined;
  readonly #joins = new Set<Waiter>();
  readonly #fences = new Map<string, Waiter>();
  #sends: (Waiter & { readonly frame: Uint8Array })[] = [];
  #lastFence = 0;
  #isDialing = false;
  #wire: Wire | undefined;
  #timer: Timer | undefined;

  /** @throws {SoormaError} `ADDRESS_INVALID` */
  constructor(host: Host, address: Address) {
    const target = parseTarget(address);
    if (target.kind === "route")
      throw new SoormaError("ADDRESS_INVALID", `${address} is a route; nobody listens there`);
    host.network.check(target.place);
    this.#host = host;
    this.#place = target.place;
    this.#expected = target.nodeId;
    this.address = address;
  }

  /** While the connection is up. */
  get wire(): Wire | undefined {
    return this.nodeId === undefined ? undefined : this.#wire;
  }

  /** Sends that wait for a connection. */
  get waiting(): number {
    return this.#sends.length;
  }

  send(frame: Uint8Array): void | Promise<void> {
    if (this.wire) return this.wire.write(kinds.message, frame);
    this.link();
    return new Promise((resolve, reject) => void this.#sends.push({ frame, resolve, reject }));
  }

  link(): void {
    this.linked = true;
    this.#dial();
  }

  /** Frames that wait are dropped. */
  unlink(): void {
    this.linked = false;
    const gone = new SoormaError("PEER_UNREACHABLE", `${this.address} was unlinked before a frame was sent`);
    for (const send of this.#sends.splice(0)) send.reject(gone);
    if (!this.joined) this.giveUp(gone);
  }

  /** Resolves when the peer knows all subscriptions of this node. */
  join(): Promise<void> {
    this.joined = true;
    this.#dial();
    return this.wire
      ? this.subscribe([...this.#host.prefixes])
      : new Promise((resolve, reject) => void this.#joins.add({ resolve, reject }));
  }

  leave(): void {
    this.joined = false;
    const gone = new SoormaError("PEER_UNREACHABLE", `${this.address} was left`);
    this.#failJoins(gone);
    if (this.linked) this.unsubscribe([...this.#host.prefixes]);
    else this.giveUp(gone);
  }

  /** Tells a connected peer of subscriptions; resolves when they are in place there. */
  subscribe(prefixes: readonly string[]): Promise<void> {
    const id = String(++this.#lastFence);
    return new Promise((resolve, reject) => {
      this.#fences.set(id, { resolve, reject });
      this.wire?.write(kinds.subscribe, encode(JSON.stringify({ id, prefixes })));
    });
  }

  unsubscribe(prefixes: readonly string[]): void {
    this.wire?.write(kinds.unsubscribe, encode(JSON.stringify(prefixes)));
  }

  /** Ends it for good. */
  giveUp(reason: SoormaError): void {
    this.linked = this.joined = false;
    this.#timer?.cancel();
    for (const send of this.#sends.splice(0)) send.reject(reason);
    this.#failJoins(reason);
    this.#wire?.end();
  }

  #dial(): void {
    if (this.#wire || this.#isDialing) return;
    this.#isDialing = true;
    this.#timer?.cancel();
    const { network, maxFrameBytes, nodeId } = this.#host;
    const connecting = network.connect(this.#place, (stream) => {
      this.#isDialing = false;
      const wire = new Wire(stream, maxFrameBytes, {
        onFrame: (kind, content) => this.#take(wire, kind, content),
        onClose: (problem) => this.#lost(problem ?? "disconnected"),
      });
      this.#wire = wire;
      if (this.linked || this.joined) wire.write(kinds.hello, encode(nodeId));
      else wire.end();
      return wire;
    });
    connecting.catch(() => this.#lost("cannot connect"));
  }

  #take(wire: Wire, kind: Kind, content: Uint8Array): void {
    if (kind === kinds.hello) this.#up(wire, readNodeId(decode(content)));
    else if (kind === kinds.subscribed) {
      const id = decode(content);
      this.#fences.get(id)?.resolve();
      this.#fences.delete(id);
    } else if (kind === kinds.message && this.nodeId !== undefined) this.#host.onMessage(content, this.address);
    else if (kind === kinds.event && this.joined) this.#host.onEvent(content);
  }

  #up(wire: Wire, nodeId: string): void {
    if (nodeId !== (this.#expected ?? nodeId)) {
      wire.end(`${nodeId} listens there`);
      return;
    }
    this.nodeId = nodeId;
    this.#host.onPeer({ address: this.address, state: "up", reason: "connected" });
    for (const { frame, resolve } of this.#sends.splice(0)) {
      wire.write(kinds.message, frame);
      resolve();
    }
    if (!this.joined) return;
    const joins = [...this.#joins];
    this.#joins.clear();
    this.subscribe([...this.#host.prefixes]).then(
      () => joins.forEach((join) => void join.resolve()),
      (reason) => joins.forEach((join) => void join.reject(reason)),
    );
  }

  #lost(reason: string): void {
    const wasUp = this.nodeId !== undefined;
    this.#isDialing = false;
    this.#wire = this.nodeId = undefined;
    const lost = new SoormaError("PEER_UNREACHABLE", `${this.address}: ${reason}`);
    for (const fence of this.#fences.values()) fence.reject(lost);
    this.#fences.clear();
    if (!this.linked && !this.joined) return;
    if (wasUp) this.#host.onPeer({ address: this.address, state: "down", reason });
    this.#timer = this.#host.runtime.setTimer(() => this.#dial(), this.#host.retryMs, { background: true });
  }

  #failJoins(reason: SoormaError): void {
    for (const waiter of [...this.#joins, ...this.#fences.values()]) waiter.reject(reason);
    this.#joins.clear();
    this.#fences.clear();
  }
}
