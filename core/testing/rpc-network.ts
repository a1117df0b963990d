import { type Failure, fromFailure, SoormaError, toFailure } from "../src/errors.ts";
import { createCodec } from "../src/events/codec.ts";
import type { CallOptions, Rpc, RpcCall } from "../src/mesh/rpc.ts";
import type { Address } from "../src/plugin/transport.ts";
import { type Runtime, systemRuntime, timeoutSignal } from "../src/runtime.ts";

/** A message about to be delivered. */
export interface RpcMessage {
  readonly kind: "call" | "answer" | "note";
  readonly from: Address;
  readonly to: Address;
  readonly method: string;
  readonly params: unknown;
}

export interface RpcNetworkOptions {
  readonly runtime?: Runtime;
  /**
   * Sees every message first. `drop` loses it as a network would; a promise holds it, and everything sent behind it to
   * the same node, back until it settles.
   */
  readonly onSend?: (message: RpcMessage) => "drop" | undefined | Promise<"drop" | undefined>;
}

export interface RpcNetworkNode extends Rpc {
  /** The node is gone at once, as if killed: whoever is linked to it hears it. */
  stop(): void;
}

/** Nodes that call each other inside one process, with no transport: what is sent is packed and unpacked all the same. */
export interface RpcNetwork {
  /** A node at an address; the address of one that stopped can be used again. */
  node(address: Address, nodeId?: string): RpcNetworkNode;
}

type PeerListener = (address: Address, state: "up" | "down", reason: string) => void;

interface Member {
  readonly address: Address;
  readonly nodeId: string;
  readonly handlers: Map<string, (call: RpcCall) => unknown>;
  readonly listeners: Set<PeerListener>;
  readonly links: Map<Address, number>;
  /** Calls of this node that wait, by the address they went to. */
  readonly waiting: Map<Address, Set<(error: unknown) => void>>;
  alive: boolean;
}

export function createRpcNetwork(options: RpcNetworkOptions = {}): RpcNetwork {
  const { runtime = systemRuntime, onSend } = options;
  const codec = createCodec();
  const members = new Map<Address, Member>();
  /** Keeps what one node sends to another in order. */
  const lanes = new Map<string, Promise<unknown>>();

  const copy = (value: unknown): unknown => codec.decode(codec.encode(value));

  /** Resolves with the receiver once the message is there. */
  const deliver = (sender: Member, message: RpcMessage): Promise<Member | "dropped"> => {
    const lane = `${message.from} ${message.to}`;
    const deliverNow = async (): Promise<Member | "dropped"> => {
      if ((await onSend?.(message)) === "drop") return "dropped";
      await new Promise<void>((resolve) => runtime.defer(resolve));
      const receiver = members.get(message.to);
      if (!sender.alive) throw stopped(message.method);
      if (!receiver?.alive) throw unreachable(message.to, message.method);
      return receiver;
    };
    const delivery = (lanes.get(lane) ?? Promise.resolve()).then(deliverNow, deliverNow);
    lanes.set(lane, delivery);
    delivery.catch(() => {});
    return delivery;
  };

  const tell = (member: Member, address: Address, state: "up" | "down", reason: string): void => {
    runtime.defer(() => {
      if (!member.alive || !member.links.has(address)) return;
      if ((members.get(address)?.alive === true) !== (state === "up")) return;
      for (const listener of [...member.listeners]) listener(address, state, reason);
    });
  };

  const serve = async (
    caller: Member,
    receiver: Member,
    message: RpcMessage,
    signal: AbortSignal,
  ): Promise<unknown> => {
    const handler = receiver.handlers.get(message.method);
    if (!handler) throw new SoormaError("METHOD_UNKNOWN", `the peer answers no call "${message.method}"`);
    const peer = { address: caller.address, nodeId: caller.nodeId };
    return handler({ params: copy(message.params), peer, signal });
  };

  const callOf =
    (caller: Member) =>
    <Result>(to: Address, method: string, params: unknown, callOptions: CallOptions = {}): Promise<Result> => {
      const { timeoutMs = 5_000, signal } = callOptions;
      return new Promise<Result>((resolve, reject) => {
        if (!caller.alive) throw stopped(method);
        signal?.throwIfAborted();
        const timeout = timeoutSignal(
          runtime,
          timeoutMs,
          () => new SoormaError("TIMEOUT", `"${method}" of ${to} got no answer in ${timeoutMs} ms`),
        );
        const over = new AbortController();
        const settle = (): void => {
          timeout[Symbol.dispose]();
          signal?.removeEventListener("abort", onAbort);
          caller.waiting.get(to)?.delete(fail);
        };
        const fail = (error: unknown): void => {
          settle();
          over.abort(error);
          reject(error);
        };
        const onAbort = (): void => fail(signal?.reason);
        signal?.addEventListener("abort", onAbort, { once: true });
        timeout.signal.addEventListener("abort", () => fail(timeout.signal.reason), { once: true });
        const waiting = caller.waiting.get(to) ?? new Set();
        caller.waiting.set(to, waiting.add(fail));
        const message: RpcMessage = { kind: "call", from: caller.address, to, method, params };
        const run = async (): Promise<void> => {
          const receiver = await deliver(caller, message);
          if (receiver === "dropped") return;
          let answer: { value: unknown } | { failure: Failure };
          try {
            answer = { value: await serve(caller, receiver, message, over.signal) };
          } catch (error) {
            answer = { failure: toFailure(error) };
          }
          const back: RpcMessage = { kind: "answer", from: to, to: caller.address, method, params: answer };
          if ((await deliver(receiver, back)) === "dropped") return;
          settle();
          if ("failure" in answer) reject(fromFailure(copy(answer.failure) as Failure));
          else resolve(copy(answer.value) as Result);
        };
        run().catch(fail);
      });
    };

  return {
    node(address, nodeId = address.replaceAll(/[^a-z0-9-]/g, "-")) {
      if (members.get(address)?.alive) {
        throw new SoormaError("ADDRESS_IN_USE", `a node listens at ${address} already`);
      }
      const member: Member = {
        address,
        nodeId,
        handlers: new Map(),
        listeners: new Set(),
        links: new Map(),
        waiting: new Map(),
        alive: true,
      };
      members.set(address, member);
      for (const other of members.values()) tell(other, address, "up", "connected");
      return {
        address,
        nodeId,
        call: callOf(member),
        async notify(to, method, params) {
          if (!member.alive) throw stopped(method);
          const receiver = await deliver(member, { kind: "note", from: address, to, method, params });
          if (receiver === "dropped") return;
          const call = { params: copy(params), peer: { address, nodeId }, signal: new AbortController().signal };
          // As on a real mesh, what becomes of a note is not the sender's business.
          await new Promise<void>((resolve) => resolve(void receiver.handlers.get(method)?.(call))).catch(() => {});
        },
        handle(method, handler) {
          if (member.handlers.has(method)) throw new TypeError(`"${method}" has a handler already`);
          member.handlers.set(method, handler as (call: RpcCall) => unknown);
          return { [Symbol.dispose]: () => void member.handlers.delete(method) };
        },
        onPeer(listener) {
          member.listeners.add(listener);
          return { [Symbol.dispose]: () => void member.listeners.delete(listener) };
        },
        link(to) {
          const count = member.links.get(to) ?? 0;
          member.links.set(to, count + 1);
          if (count === 0 && members.get(to)?.alive) tell(member, to, "up", "connected");
          let released = false;
          return {
            [Symbol.dispose]() {
              if (released) return;
              released = true;
              const left = (member.links.get(to) ?? 1) - 1;
              if (left > 0) member.links.set(to, left);
              else member.links.delete(to);
            },
          };
        },
        stop() {
          if (!member.alive) return;
          member.alive = false;
          for (const calls of member.waiting.values()) for (const fail of [...calls]) fail(stopped("a call"));
          for (const other of members.values()) {
            for (const fail of [...(other.waiting.get(address) ?? [])]) fail(unreachable(address, "a call"));
            tell(other, address, "down", "stopped");
          }
        },
      };
    },
  };
}

function unreachable(address: Address, method: string): SoormaError {
  return new SoormaError("PEER_UNREACHABLE", `${address} cannot be reached for "${method}"`);
}

function stopped(method: string): SoormaError {
  return new SoormaError("NODE_STOPPED", `"${method}" cannot be called: this node has stopped`);
}
