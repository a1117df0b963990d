import { type Address, type PeerChange, SoormaError } from "@soorma/core";
import { parseAddress } from "./address.ts";
import type { Connection, Dial, HubNode } from "./connection.ts";
import type { Hub } from "./hub.ts";

export interface Waiter {
  resolve(): void;
  reject(reason: unknown): void;
}

export interface Join extends Dial {
  /** Calls of `join` that wait for the connection. */
  readonly joining: Set<Waiter>;
  /** Calls that wait for the publisher to have the subscriptions; `reject` is called when the publisher goes down. */
  readonly fences: Set<Waiter>;
}

export interface SubscriberOptions {
  readonly hub: Hub;
  readonly node: HubNode;
  readonly report: (address: Address, state: PeerChange["state"], reason: string) => void;
  /** Hands subscriptions to the publisher at the connection's other end. */
  readonly tell: (prefixes: readonly string[], connection: Connection) => void;
}

/** A node's subscriptions and the publishers it joined. */
export class Subscriber {
  readonly #options: SubscriberOptions;
  readonly #joins = new Map<Address, Join>();
  readonly #prefixes = new Set<string>();

  constructor(options: SubscriberOptions) {
    this.#options = options;
  }

  get joins(): Iterable<Join> {
    return this.#joins.values();
  }

  isJoined(address: Address): boolean {
    return this.#joins.get(address)?.connection !== undefined;
  }

  wants(channel: string): boolean {
    return matches(this.#prefixes, channel);
  }

  async subscribe(prefix: string, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.#prefixes.add(prefix);
    const connected = [...this.#joins.values()].filter((join) => join.connection);
    await Promise.all(
      connected.map((join) =>
        abortable(signal, (waiter) => {
          // A publisher that goes away has nothing to say any more: that is as good as knowing the subscription.
          const fence: Waiter = {
            resolve: waiter.resolve,
            reject: (reason) => (this.#options.node.ended ? waiter.reject(reason) : waiter.resolve()),
          };
          this.#fence(join, [prefix], [fence]);
          return () => join.fences.delete(fence);
        }),
      ),
    );
  }

  unsubscribe(prefix: string): void {
    if (!this.#prefixes.delete(prefix)) return;
    for (const { connection } of this.#joins.values()) {
      connection?.forward.pushControl(() => connection.prefixes.delete(prefix));
    }
  }

  async join(address: Address, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const join = this.#joins.get(address) ?? this.#dial(address);
    await abortable(signal, (waiter) => {
      if (join.connection) this.#fence(join, [...this.#prefixes], [waiter]);
      else join.joining.add(waiter);
      return () => {
        join.joining.delete(waiter);
        join.fences.delete(waiter);
      };
    });
  }

  leave(address: Address): void {
    const join = this.#joins.get(address);
    if (!join) return;
    this.#joins.delete(address);
    this.#options.hub.hangUp(join, "left");
    giveUp(join, new SoormaError("PEER_UNREACHABLE", `"${address}" was left while joining it`));
  }

  /** Fails everybody who waits. */
  fail(reason: SoormaError): void {
    for (const join of this.#joins.values()) giveUp(join, reason);
  }

  clear(): void {
    this.#joins.clear();
  }

  #dial(address: Address): Join {
    const target = parseAddress(address);
    if (target.kind === "route") {
      throw new SoormaError("ADDRESS_INVALID", `"${address}" is a route and publishes nothing`);
    }
    const { hub, node, report } = this.#options;
    const join: Join = {
      node,
      address,
      name: target.name,
      nodeId: target.nodeId,
      connection: undefined,
      connecting: false,
      closed: false,
      joining: new Set(),
      fences: new Set(),
      up: () => {
        const joining = [...join.joining];
        join.joining.clear();
        this.#fence(join, [...this.#prefixes], joining);
        report(address, "up", "connected");
      },
      lost: (reason) => {
        giveUp(join, new SoormaError("PEER_UNREACHABLE", `"${address}" went down while it was joined: ${reason}`));
      },
      down: (reason) => report(address, "down", reason),
    };
    this.#joins.set(address, join);
    hub.dial(join);
    return join;
  }

  /** Tells the publisher of subscriptions; `waiters` are told when it knows them. */
  #fence(join: Join, prefixes: readonly string[], waiters: readonly Waiter[]): void {
    const { connection } = join;
    if (!connection) return;
    for (const waiter of waiters) join.fences.add(waiter);
    const confirm = (): void => {
      for (const waiter of waiters) if (join.fences.delete(waiter)) waiter.resolve();
    };
    connection.forward.pushControl(() => {
      this.#options.tell(prefixes, connection);
      connection.back.pushControl(confirm);
    });
  }
}

export function matches(prefixes: ReadonlySet<string>, channel: string): boolean {
  for (const prefix of prefixes) if (channel.startsWith(prefix)) return true;
  return false;
}

function giveUp(join: Join, reason: SoormaError): void {
  const waiters = [...join.joining, ...join.fences];
  join.joining.clear();
  join.fences.clear();
  for (const waiter of waiters) waiter.reject(reason);
}

/** Runs `start` with a waiter, rejecting with the signal's reason when that comes first; `start` returns its undo. */
function abortable(signal: AbortSignal | undefined, start: (waiter: Waiter) => () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let undo = (): void => {};
    const onAbort = (): void => {
      undo();
      reject(signal?.reason);
    };
    const settled = (): void => signal?.removeEventListener("abort", onAbort);
    signal?.addEventListener("abort", onAbort, { once: true });
    undo = start({
      resolve() {
        settled();
        resolve();
      },
      reject(reason) {
        settled();
        reject(reason);
      },
    });
  });
}
