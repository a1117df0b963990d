import type { Address, Transport, TransportHandlers } from "../src/plugin/transport.ts";
import type { Runtime, Timer } from "../src/runtime.ts";
import type { Store } from "../src/store/store.ts";
import { seededRandom } from "./fake-runtime.ts";

/** What a simulated process does that others could notice. */
export type ProcessEffect = "timer" | "message" | "event" | "peer" | "send" | "publish" | "transact" | "settled";

export interface SimulatedProcessOptions {
  readonly name: string;
  /** The world's time, of a `fakeRuntime`. */
  readonly world: Runtime;
  /** Of the process's own random numbers. */
  readonly seed: number;
  /** Milliseconds this process's wall clock is off from the start. Default 0. */
  readonly clockOffsetMs?: number;
  /** Called once, at the crash: to take the process's node off the network and its disk away from it. */
  readonly onCrash?: (process: SimulatedProcess) => void;
  /** Called before each step and effect: to trace them. */
  readonly onEffect?: (process: SimulatedProcess, effect: ProcessEffect, what: unknown, bytes?: Uint8Array) => void;
  /** Remembers where each timer was set, for {@link SimulatedProcess.pendingSites}. Slow. Default false. */
  readonly sites?: boolean;
  /** A callback threw. In a real process that would be an uncaught exception. Default: it is thrown on. */
  readonly onError?: (process: SimulatedProcess, error: unknown) => void;
}

/**
 * One process of a simulated world: its own view of time, chance, network and disk, any of which it can lose.
 *
 * What runs in it is handed {@link runtime}, `transport(…)` and `store(…)` instead of the world's. After {@link crash}
 * nothing of it is called again, and nothing it does has an effect, however far a promise of it had come. A crash can be
 * set to the very effect it shall come before, so it can fall between any two things a process does.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly runtime: Runtime;
  readonly #o: SimulatedProcessOptions;
  #alive = true;
  #frozen: (() => void)[] | undefined;
  #offsetMs: number;
  #effects = 0;
  #crashAt = Number.POSITIVE_INFINITY;
  readonly #timers = new Set<{ readonly timer: Timer; readonly site: string | undefined }>();

  constructor(options: SimulatedProcessOptions) {
    this.#o = options;
    this.name = options.name;
    this.#offsetMs = options.clockOffsetMs ?? 0;
    const { world } = options;
    this.runtime = {
      now: () => world.now() + this.#offsetMs,
      monotonic: () => world.monotonic(),
      setTimer: (callback, delayMs, timer) => this.#setTimer(callback, delayMs, timer?.background ?? false),
      defer: (callback) => void this.#setTimer(callback, 0, false),
      random: seededRandom(options.seed),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get frozen(): boolean {
    return this.#frozen !== undefined;
  }

  /** Steps and effects so far. */
  get effects(): number {
    return this.#effects;
  }

  /** Timers and deferred callbacks of this process that have not run; 0 after a clean end, unless something leaks. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Where the pending timers were set: stack traces, if they were asked for. */
  get pendingSites(): readonly string[] {
    return Array.from(this.#timers, ({ site }) => site ?? "unknown");
  }

  /** How far the wall clock is off. */
  get clockOffsetMs(): number {
    return this.#offsetMs;
  }

  /** Sets the wall clock forward, or back. Timers do not notice, as in a real process. */
  jumpClock(byMs: number): void {
    this.#offsetMs += byMs;
  }

  /** Ends the process at once, as SIGKILL does. */
  crash(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#frozen = undefined;
    for (const { timer } of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#o.onCrash?.(this);
  }

  /** Ends the process before the effect that is so many from now: 1 is the next one. */
  crashIn(effects: number): void {
    this.#crashAt = this.#effects + effects;
  }

  /** Stops the process, as SIGSTOP does: nothing runs until {@link thaw}. The network notices nothing of it by itself. */
  freeze(): void {
    if (this.#alive) this.#frozen ??= [];
  }

  /** Goes on, with everything that came meanwhile. */
  thaw(): void {
    const waiting = this.#frozen;
    this.#frozen = undefined;
    // Each in a turn of its own, as if it came now.
    for (const callback of waiting ?? []) this.#o.world.defer(() => this.#run(callback));
  }

  /** Settles as `promise` does, but not while the process is frozen, and never once it is dead. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      promise.then(
        (value) => this.#enter("settled", undefined, () => resolve(value)),
        (reason) => this.#enter("settled", undefined, () => reject(reason)),
      );
    });
  }

  /** The process's hold of a transport. */
  transport(inner: Transport): Transport {
    return new ProcessTransport(this, inner, {
      act: (effect, what, bytes) => this.#act(effect, what, bytes),
      enter: (effect, what, callback, bytes) => this.#enter(effect, what, callback, bytes),
    });
  }

  /** The process's hold of a store. */
  store(inner: Store): Store {
    const never = <T>(): Promise<T> => new Promise(() => {});
    return {
      get: (key) => inner.get(key),
      range: (options) => inner.range(options),
      transact: (body) => (this.#act("transact", undefined) ? this.guard(inner.transact(body)) : never()),
      close: () => (this.#alive ? this.guard(inner.close()) : never()),
      [Symbol.asyncDispose]: () => (this.#alive ? this.guard(inner.close()) : never()),
    };
  }

  /** Counts an effect; false if the process is dead, perhaps since right now. */
  #act(effect: ProcessEffect, what: unknown, bytes?: Uint8Array): boolean {
    if (!this.#alive) return false;
    if (++this.#effects >= this.#crashAt) {
      this.crash();
      return false;
    }
    this.#o.onEffect?.(this, effect, what, bytes);
    return true;
  }

  /** Calls back into the process, now or when it is thawed, unless it is dead. */
  #enter(effect: ProcessEffect, what: unknown, callback: () => void, bytes?: Uint8Array): void {
    if (this.#frozen) {
      this.#frozen.push(() => this.#enter(effect, what, callback, bytes));
      return;
    }
    if (this.#act(effect, what, bytes)) this.#run(callback);
  }

  #run(callback: () => void): void {
    if (!this.#alive) return;
    try {
      callback();
    } catch (error) {
      if (!this.#o.onError) throw error;
      this.#o.onError(this, error);
    }
  }

  #setTimer(callback: () => void, delayMs: number, background: boolean): Timer {
    if (!this.#alive) return { cancel() {} };
    const site = this.#o.sites ? `in ${delayMs} ms ${new Error("timer").stack}` : undefined;
    const timer = this.#o.world.setTimer(
      () =>
        this.#enter("timer", delayMs, () => {
          // Unless it was cancelled while the process was frozen.
          if (this.#timers.delete(entry)) callback();
        }),
      delayMs,
      { background },
    );
    const entry = { timer, site };
    this.#timers.add(entry);
    return {
      cancel: () => {
        if (this.#timers.delete(entry)) timer.cancel();
      },
    };
  }
}

interface Hooks {
  readonly act: (effect: ProcessEffect, what: unknown, bytes?: Uint8Array) => boolean;
  readonly enter: (effect: ProcessEffect, what: unknown, callback: () => void, bytes?: Uint8Array) => void;
}

class ProcessTransport implements Transport {
  readonly #process: SimulatedProcess;
  readonly #inner: Transport;
  readonly #hooks: Hooks;

  constructor(process: SimulatedProcess, inner: Transport, hooks: Hooks) {
    this.#process = process;
    this.#inner = inner;
    this.#hooks = hooks;
  }

  get supports(): Transport["supports"] {
    return this.#inner.supports;
  }

  open(options: Parameters<Transport["open"]>[0]): Promise<Address> {
    return this.#guarded(() => this.#inner.open({ ...options, handlers: this.#handlers(options.handlers) }));
  }

  nodeIdOf(address: Address): string | undefined {
    return this.#inner.nodeIdOf(address);
  }

  send(to: Address, frame: Uint8Array): void | Promise<void> {
    if (!this.#hooks.act("send", to, frame)) return never();
    const taken = this.#inner.send(to, frame);
    return taken && this.#process.guard(taken);
  }

  link(address: Address): void {
    if (this.#process.alive) this.#inner.link(address);
  }

  unlink(address: Address): void {
    if (this.#process.alive) this.#inner.unlink(address);
  }

  publish(channel: string, frame: Uint8Array): void | Promise<void> {
    if (!this.#hooks.act("publish", channel, frame)) return never();
    const taken = this.#inner.publish(channel, frame);
    return taken && this.#process.guard(taken);
  }

  subscribe(prefix: string, options?: { signal?: AbortSignal }): Promise<void> {
    return this.#guarded(() => this.#inner.subscribe(prefix, options));
  }

  unsubscribe(prefix: string): void {
    if (this.#process.alive) this.#inner.unsubscribe(prefix);
  }

  join(address: Address, options?: { signal?: AbortSignal }): Promise<void> {
    return this.#guarded(() => this.#inner.join(address, options));
  }

  leave(address: Address): void {
    if (this.#process.alive) this.#inner.leave(address);
  }

  stats(): ReturnType<Transport["stats"]> {
    return this.#inner.stats();
  }

  close(): Promise<void> {
    return this.#guarded(() => this.#inner.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #guarded<T>(call: () => Promise<T>): Promise<T> {
    return this.#process.alive ? this.#process.guard(call()) : never();
  }

  #handlers(handlers: TransportHandlers): TransportHandlers {
    const { enter } = this.#hooks;
    const process = this.#process;
    /** A frame is only valid during the call, and a frozen process reads it later. */
    const keep = (frame: Uint8Array): Uint8Array => (process.frozen ? new Uint8Array(frame) : frame);
    return {
      onMessage(frame, from) {
        const kept = keep(frame);
        enter("message", from, () => handlers.onMessage(kept, from), kept);
      },
      onEvent(frame) {
        const kept = keep(frame);
        if (!process.frozen) {
          const handled: Promise<void>[] = [];
          const handle = (): void => {
            const slow = handlers.onEvent(kept);
            if (slow) handled.push(slow);
          };
          enter("event", undefined, handle, kept);
          return handled[0] && process.guard(handled[0]);
        }
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        enter("event", undefined, () => void Promise.resolve(handlers.onEvent(kept)).then(resolve, reject), kept);
        return promise;
      },
      onPeer: (change) => enter("peer", change, () => handlers.onPeer(change)),
      onSubscriber: (nodeId) => enter("peer", nodeId, () => handlers.onSubscriber(nodeId)),
    };
  }
}

function never<T>(): Promise<T> {
  return new Promise(() => {});
}
