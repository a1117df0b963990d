import { type Failure, fromFailure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import { type Codec, namePart } from "../events/codec.ts";
import type { Logger } from "../log.ts";
import type { Address, PeerChange, Transport } from "../plugin/transport.ts";
import type { Runtime } from "../runtime.ts";
import { AnsweredCall } from "./answered-call.ts";
import { Deadlines, type Expiring } from "./deadlines.ts";
import { Outbox } from "./outbox.ts";
import type { CallOptions, Rpc, RpcCall, RpcPeer } from "./rpc.ts";
import { SeenCalls } from "./seen-calls.ts";

/** First element of every message. A frame holds one or more, one behind the other. */
const kind = { call: 1, result: 2, failure: 3, note: 4, cancel: 5 } as const;

/** Milliseconds a call waits when it does not say. */
export const defaultCallTimeoutMs = 5_000;

/** A call that waits for its answer. */
class Pending implements Expiring {
  readonly id: number;
  readonly to: Address;
  readonly method: string;
  readonly timeoutMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly #giveUp: (call: Pending, error: unknown) => void;
  settled = false;
  /** Stops listening to the caller's signal; only there when it has one. */
  release: (() => void) | undefined;

  constructor(
    { id, to, method, timeoutMs }: Pick<Pending, "id" | "to" | "method" | "timeoutMs">,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    giveUp: (call: Pending, error: unknown) => void,
  ) {
    this.id = id;
    this.to = to;
    this.method = method;
    this.timeoutMs = timeoutMs;
    this.resolve = resolve;
    this.reject = reject;
    this.#giveUp = giveUp;
  }

  expire(): void {
    this.#giveUp(this, undefined);
  }
}

export interface PeerRpcOptions {
  readonly transport: Transport;
  readonly codec: Codec;
  readonly runtime: Runtime;
  readonly log: Logger;
}

export interface RpcStats {
  /** Calls that wait for their answer now. */
  readonly pending: number;
  readonly made: number;
  /** Calls of others that were answered with a result, and those answered with a failure. */
  readonly answered: number;
  readonly refused: number;
  /** Frames that were no message of this protocol. */
  readonly malformed: number;
  /** Answers nobody waits for any more. */
  readonly late: number;
  /** Calls that came a second time, and were not made again. */
  readonly doubled: number;
}

/** {@link Rpc} over a transport. Whoever opens the transport passes its messages and peer changes on. */
export interface PeerRpc extends Rpc {
  /** To be called once, with what `transport.open` returned. */
  started(nodeId: string, address: Address): void;
  onMessage(frame: Uint8Array, from: Address): void;
  onPeerChange(change: PeerChange): void;
  stats(): RpcStats;
  /** Rejects everything that waits with `NODE_STOPPED`. */
  stop(): void;
}

export function createPeerRpc({ transport, codec, runtime, log }: PeerRpcOptions): PeerRpc {
  const pending = new Map<number, Pending>();
  const deadlines = new Deadlines(runtime);
  const outbox = new Outbox(transport, runtime);
  const handlers = new Map<string, (call: RpcCall) => unknown>();
  const peerListeners = new Set<(address: Address, state: "up" | "down", reason: string) => void>();
  const links = new Map<Address, number>();
  const seen = new SeenCalls();
  /** Calls whose handlers are not done, by `${from} ${id}`. */
  const answering = new Map<string, AnsweredCall>();
  let lastId = 0;
  let malformed = 0;
  let late = 0;
  let doubled = 0;
  let answered = 0;
  let refused = 0;
  let stopped = false;
  let own: { nodeId: string; address: Address } | undefined;

  const settle = (id: number): Pending | undefined => {
    const call = pending.get(id);
    if (!call) return undefined;
    pending.delete(id);
    call.settled = true;
    call.release?.();
    return call;
  };

  const fail = (id: number, error: unknown): void => {
    settle(id)?.reject(error);
  };

  const sendQuietly = (to: Address, frame: Uint8Array, what: string): void => {
    outbox.send(to, frame, (error) => {
      if (error !== undefined) log.debug("send.failed", { to, what, error });
    });
  };

  const giveUp = (call: Pending, error: unknown): void => {
    if (call.settled) return;
    fail(call.id, error ?? timeoutError(transport, call.to, call.method, call.timeoutMs));
    sendQuietly(call.to, codec.encode([kind.cancel, call.id]), "cancel");
  };

  const call = <Result>(to: Address, method: string, params: unknown, options: CallOptions = {}): Promise<Result> =>
    new Promise<Result>((resolve, reject) => {
      const { signal } = options;
      if (stopped) throw stoppedError(method);
      signal?.throwIfAborted();
      const id = ++lastId;
      const timeoutMs = Math.ceil(options.timeoutMs ?? defaultCallTimeoutMs);
      const frame = codec.encode([kind.call, id, method, params, Math.min(timeoutMs, maxTimeoutMs)]);
      const waiting = new Pending({ id, to, method, timeoutMs }, resolve as (value: unknown) => void, reject, giveUp);
      if (signal) {
        const onAbort = (): void => giveUp(waiting, signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.release = () => signal.removeEventListener("abort", onAbort);
      }
      pending.set(id, waiting);
      deadlines.add(waiting, timeoutMs);
      outbox.send(to, frame, (error) => {
        if (error !== undefined) fail(id, error);
      });
    });

  const answer = (from: Address, id: number, value: unknown): void => {
    let frame: Uint8Array;
    try {
      frame = codec.encode([kind.result, id, value]);
    } catch (error) {
      refuse(from, id, namePart(error, value, "answer", "what the handler returned cannot be sent"));
      return;
    }
    answered++;
    outbox.send(from, frame, (error) => {
      if (error !== undefined) refuse(from, id, error);
    });
  };

  const refuse = (from: Address, id: number, error: unknown): void => {
    refused++;
    sendQuietly(from, codec.encode([kind.failure, id, toFailure(error)]), "failure");
  };

  const serve = (from: Address, id: number, method: string, params: unknown, timeoutMs: number): void => {
    const handler = handlers.get(method);
    if (!handler) {
      refuse(from, id, new SoormaError("METHOD_UNKNOWN", `the peer answers no call "${method.slice(0, 100)}"`));
      return;
    }
    const slot = new AnsweredCall(params, peerOf(transport, from), runtime, timeoutMs);
    try {
      const value = handler(slot);
      if (value instanceof Promise) {
        const key = `${from} ${id}`;
        answering.set(key, slot);
        const release = (): void => {
          answering.delete(key);
          slot.release();
        };
        value.then(
          (result) => {
            release();
            answer(from, id, result);
          },
          (error) => {
            release();
            refuse(from, id, error);
          },
        );
        return;
      }
      slot.release();
      answer(from, id, value);
    } catch (error) {
      slot.release();
      refuse(from, id, error);
    }
  };

  const note = (from: Address, method: string, params: unknown): void => {
    const handler = handlers.get(method);
    if (!handler) {
      log.debug("note.unknown", { from, method });
      return;
    }
    const slot = new AnsweredCall(params, peerOf(transport, from), runtime, defaultCallTimeoutMs);
    const failed = (error: unknown): void => log.warn("note.failed", { from, method, error });
    try {
      const value = handler(slot);
      if (value instanceof Promise) value.catch(failed).finally(() => slot.release());
      else slot.release();
    } catch (error) {
      slot.release();
      failed(error);
    }
  };

  const reply = (from: Address, id: number, settleWith: (call: Pending) => void): void => {
    const call = pending.get(id);
    if (!call) {
      late++;
      return;
    }
    // Ids are guessable: only the peer that was asked may answer.
    if (call.to !== from && transport.nodeIdOf(call.to) !== transport.nodeIdOf(from)) {
      malformed++;
      return;
    }
    settle(id);
    settleWith(call);
  };

  const take = ([type, second, third, fourth, fifth]: readonly unknown[], from: Address): void => {
    if (type === kind.call && isId(second) && typeof third === "string" && isDuration(fifth)) {
      // Its answer is on its way, or was lost as any message may be.
      if (!seen.isFirst(transport.nodeIdOf(from) ?? from, second)) doubled++;
      else serve(from, second, third, fourth, fifth);
    } else if (type === kind.result && isId(second)) {
      reply(from, second, (call) => call.resolve(third));
    } else if (type === kind.failure && isId(second) && isFailure(third)) {
      reply(from, second, (call) => call.reject(fromFailure(third)));
    } else if (type === kind.note && typeof second === "string") {
      note(from, second, third);
    } else if (type === kind.cancel && isId(second)) {
      const key = `${from} ${second}`;
      answering.get(key)?.giveUp(new SoormaError("CANCELLED", "the caller gave up"));
      // Its handler may never be done.
      answering.delete(key);
    } else {
      malformed++;
    }
  };

  return {
    get address() {
      if (!own) throw new SoormaError("NODE_STOPPED", "the node has no address before it started");
      return own.address;
    },
    get nodeId() {
      if (!own) throw new SoormaError("NODE_STOPPED", "the node has no id before it started");
      return own.nodeId;
    },
    started(nodeId, address) {
      own = { nodeId, address };
    },
    call,
    notify: (to, method, params) =>
      new Promise((resolve, reject) => {
        if (stopped) throw stoppedError(method);
        const message = codec.encode([kind.note, method, params]);
        outbox.send(to, message, (error) => (error === undefined ? resolve() : reject(error)));
      }),
    handle(method, handler) {
      if (handlers.has(method)) throw new TypeError(`"${method}" has a handler already`);
      handlers.set(method, handler as (call: RpcCall) => unknown);
      return { [Symbol.dispose]: () => void handlers.delete(method) };
    },
    onPeer(listener) {
      peerListeners.add(listener);
      return { [Symbol.dispose]: () => void peerListeners.delete(listener) };
    },
    link(address) {
      links.set(address, (links.get(address) ?? 0) + 1);
      transport.link(address);
      let released = false;
      return {
        [Symbol.dispose]() {
          if (released) return;
          released = true;
          const left = (links.get(address) ?? 1) - 1;
          if (left > 0) links.set(address, left);
          else {
            links.delete(address);
            if (!stopped) transport.unlink(address);
          }
        },
      };
    },
    onMessage(frame, from) {
      let messages: readonly unknown[] = [];
      try {
        messages = codec.decodeAll(frame);
      } catch {}
      // What is no message makes the whole frame somebody else's.
      if (messages.length === 0 || !messages.every(Array.isArray)) malformed++;
      else for (const message of messages) take(message as readonly unknown[], from);
    },
    onPeerChange({ address, state, reason }) {
      if (state === "down") {
        for (const [id, call] of pending) {
          if (call.to === address) fail(id, lostError(transport, call, reason));
        }
      }
      for (const listener of peerListeners) listener(address, state, reason);
    },
    stats: () => ({ pending: pending.size, made: lastId, answered, refused, malformed, late, doubled }),
    stop() {
      stopped = true;
      outbox.flush();
      deadlines.clear();
      for (const [id, call] of pending) fail(id, stoppedError(call.method));
      for (const slot of answering.values()) slot.giveUp(stoppedError("an answer"));
      answering.clear();
    },
  };
}

function peerOf(transport: Transport, address: Address): RpcPeer {
  return { address, nodeId: transport.nodeIdOf(address) ?? "" };
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** Longest that a frame says of a call. A caller that waits longer cancels when it gives up. */
const maxTimeoutMs = 2 ** 31 - 1;

function isDuration(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= maxTimeoutMs;
}

function isFailure(value: unknown): value is Failure {
  if (typeof value !== "object" || value === null) return false;
  const { code, message, retryable } = value as Record<string, unknown>;
  return typeof code === "string" && typeof message === "string" && typeof retryable === "boolean";
}

function nameOf(transport: Transport, address: Address): string {
  return transport.nodeIdOf(address) ?? address;
}

function timeoutError(transport: Transport, to: Address, method: string, timeoutMs: number): SoormaError {
  return new SoormaError("TIMEOUT", `"${method}" of ${nameOf(transport, to)} got no answer in ${timeoutMs} ms`, {
    details: { method, timeoutMs },
  });
}

function lostError(transport: Transport, call: Pending, reason: string): SoormaError {
  return new SoormaError(
    "PEER_UNREACHABLE",
    `${nameOf(transport, call.to)} was lost before it answered "${call.method}": ${reason}`,
    {
      details: { method: call.method, reason },
    },
  );
}

function stoppedError(method: string): SoormaError {
  return new SoormaError("NODE_STOPPED", `"${method}" cannot be called: this node has stopped`);
}

/** True when a call failed because the peer, not the request, was the trouble. */
export function isPeerTrouble(error: unknown): boolean {
  return (
    isSoormaError(error, "PEER_UNREACHABLE") || isSoormaError(error, "TIMEOUT") || isSoormaError(error, "NODE_STOPPED")
  );
}
