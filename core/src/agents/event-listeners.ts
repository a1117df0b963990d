import type { Envelope } from "../events/envelope.ts";
import type { Topic } from "../events/topics.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { Bus, BusSubscription } from "./bus.ts";

/** A subscription is kept this long after the last who needed it: the next one is probably not far. */
const lingerMs = 5_000;

interface Shared {
  readonly listeners: Set<(event: Envelope) => void>;
  readonly subscribed: Promise<BusSubscription>;
  timer: Timer | undefined;
}

/** Subscriptions of handlers that wait for events: one for all that wait for the same. */
export class EventListeners implements AsyncDisposable {
  readonly #bus: Bus;
  readonly #runtime: Runtime;
  readonly #shared = new Map<string, Shared>();
  #closed = false;

  constructor(bus: Bus, runtime: Runtime) {
    this.#bus = bus;
    this.#runtime = runtime;
  }

  /** Resolves when whatever is published from then on is heard. @throws what {@link Bus.subscribe} throws. */
  async listen(pattern: string, topic: Topic | undefined, listener: (event: Envelope) => void): Promise<Disposable> {
    const id = JSON.stringify([pattern, topic ?? null]);
    const shared = this.#shared.get(id) ?? this.#subscribe(id, pattern, topic);
    shared.timer?.cancel();
    shared.listeners.add(listener);
    const end = (): void => {
      shared.listeners.delete(listener);
      this.#endSoon(id, shared);
    };
    try {
      await shared.subscribed;
    } catch (error) {
      end();
      throw error;
    }
    return { [Symbol.dispose]: end };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const all = [...this.#shared];
    await Promise.all(all.map(([id, shared]) => this.#end(id, shared)));
  }

  #subscribe(id: string, pattern: string, topic: Topic | undefined): Shared {
    const listeners = new Set<(event: Envelope) => void>();
    const heard = ({ respond: _respond, ...event }: Envelope & { respond: unknown }): void => {
      for (const listener of [...listeners]) listener(event);
    };
    const subscribed = this.#bus.subscribe(pattern, heard, topic === undefined ? {} : { topic });
    const shared: Shared = { listeners, subscribed, timer: undefined };
    this.#shared.set(id, shared);
    subscribed.catch(() => {
      if (this.#shared.get(id) === shared) this.#shared.delete(id);
    });
    return shared;
  }

  #endSoon(id: string, shared: Shared): void {
    if (shared.listeners.size > 0) return;
    shared.timer?.cancel();
    if (this.#closed) return;
    shared.timer = this.#runtime.setTimer(
      () => {
        if (shared.listeners.size === 0) void this.#end(id, shared);
      },
      lingerMs,
      { background: true },
    );
  }

  async #end(id: string, shared: Shared): Promise<void> {
    shared.timer?.cancel();
    if (this.#shared.get(id) === shared) this.#shared.delete(id);
    const subscription = await shared.subscribed.catch(() => undefined);
    // It is heard no more all the same; only the registry may go on saying so for a while.
    await subscription?.unsubscribe().catch(() => {});
  }
}
