import { type Address, isSoormaError, type Logger, type Rpc, type Runtime, SoormaError, sleep } from "@soorma/core";

export interface BrokerClientOptions {
  readonly rpc: Rpc;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly address: Address;
  /** From a call to its deadline, all attempts together. */
  readonly timeoutMs: number;
}

/** Calls the broker, again and again while it is away. */
export interface BrokerClient {
  readonly address: Address;
  /** False while the connection to the broker is known to be lost, or was never there. */
  readonly linked: boolean;
  /**
   * @throws {SoormaError} `REGISTRY_UNAVAILABLE` when the broker did not answer in time or the client was closed; the
   * signal's reason; whatever the broker refuses with.
   */
  call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown>;
  /** One attempt whose outcome does not matter, waiting for at most half a second. */
  tell(method: string, params: unknown): Promise<void>;
  /** Called whenever the broker can be reached (again). */
  onUp(listener: () => void): void;
  /** Calls under way reject. A second time does nothing. */
  close(): void;
}

/** Milliseconds before the second attempt, and the most between two. */
const backoff = { firstMs: 20, mostMs: 500 } as const;

export function createBrokerClient(options: BrokerClientOptions): BrokerClient {
  const { rpc, runtime, log, address, timeoutMs } = options;
  const active = new Set<AbortController>();
  const upListeners = new Set<() => void>();
  /** Attempts that wait for their turn; a connection that comes up ends the wait. */
  const sleepers = new Set<() => void>();
  let linked = false;
  let closed = false;

  const onPeer = rpc.onPeer((peer, state, reason) => {
    if (peer !== address || closed) return;
    linked = state === "up";
    log.debug(linked ? "broker.up" : "broker.down", { address, reason });
    if (!linked) return;
    for (const wake of [...sleepers]) wake();
    for (const listener of [...upListeners]) listener();
  });
  const link = rpc.link(address);

  /** Ends early when the broker appears or the signal aborts; the next attempt finds out which. */
  const pause = async (delayMs: number, signal: AbortSignal): Promise<void> => {
    const over = new AbortController();
    const wake = (): void => over.abort();
    sleepers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    try {
      await sleep(runtime, delayMs, over.signal).catch(() => {});
    } finally {
      sleepers.delete(wake);
      signal.removeEventListener("abort", wake);
    }
  };

  const attempt = async (method: string, params: unknown, signal: AbortSignal, deadline: number): Promise<unknown> => {
    for (let attempts = 1; ; attempts++) {
      signal.throwIfAborted();
      const leftMs = Math.ceil(deadline - runtime.monotonic());
      try {
        return await rpc.call(address, method, params, { timeoutMs: Math.max(1, leftMs), signal });
      } catch (error) {
        signal.throwIfAborted();
        if (!isOutage(error)) throw error;
        const delayMs = Math.min(backoff.firstMs * 2 ** (attempts - 1), backoff.mostMs) * (0.75 + runtime.random() / 2);
        const over = runtime.monotonic() + delayMs >= deadline;
        if (over || isSoormaError(error, "TIMEOUT") || isSoormaError(error, "TRANSPORT_CLOSED")) {
          throw unavailable(address, method, timeoutMs, attempts, error);
        }
        await pause(delayMs, signal);
      }
    }
  };

  return {
    address,
    get linked() {
      return linked;
    },
    async call(method, params, signal) {
      if (closed) throw closedError(address, method);
      signal?.throwIfAborted();
      const giveUp = new AbortController();
      const onAbort = (): void => giveUp.abort(signal?.reason);
      signal?.addEventListener("abort", onAbort, { once: true });
      active.add(giveUp);
      try {
        return await attempt(method, params, giveUp.signal, runtime.monotonic() + timeoutMs);
      } catch (error) {
        throw closed ? closedError(address, method) : error;
      } finally {
        active.delete(giveUp);
        signal?.removeEventListener("abort", onAbort);
      }
    },
    async tell(method, params) {
      if (!linked || closed) return;
      await rpc.call(address, method, params, { timeoutMs: 500 }).catch(() => {});
    },
    onUp(listener) {
      upListeners.add(listener);
    },
    close() {
      if (closed) return;
      closed = true;
      for (const call of active) call.abort(closedError(address, "a call"));
      onPeer[Symbol.dispose]();
      link[Symbol.dispose]();
      upListeners.clear();
    },
  };
}

/** True when the broker, not the request, was the trouble. A broker that starts or stops does not know its methods. */
function isOutage(error: unknown): boolean {
  return (
    isSoormaError(error, "PEER_UNREACHABLE") ||
    isSoormaError(error, "TIMEOUT") ||
    isSoormaError(error, "METHOD_UNKNOWN") ||
    isSoormaError(error, "NODE_STOPPED") ||
    isSoormaError(error, "TRANSPORT_CLOSED")
  );
}

function unavailable(
  address: Address,
  method: string,
  timeoutMs: number,
  attempts: number,
  cause: unknown,
): SoormaError {
  const foreign = isSoormaError(cause, "METHOD_UNKNOWN");
  const what = foreign
    ? `whatever listens at ${address} is no registry broker: it does not know "${method}"`
    : `the registry broker at ${address} did not answer "${method}" in ${timeoutMs} ms`;
  return new SoormaError("REGISTRY_UNAVAILABLE", what, {
    cause,
    hint: foreign ? "Check the registry's address." : "Is a broker running there? Start one with `soorma dev`.",
    details: { address, method, timeoutMs, attempts },
  });
}

function closedError(address: Address, method: string): SoormaError {
  return new SoormaError(
    "REGISTRY_UNAVAILABLE",
    `"${method}" of the registry broker at ${address} was not called: this client of it is closed`,
    { retryable: false, details: { address, method } },
  );
}
