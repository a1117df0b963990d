import { SoormaError } from "../errors.ts";
import { type Codec, namePart } from "../events/codec.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Runtime } from "../runtime.ts";
import type { AgentStats } from "./node-stats.ts";
import { defaultCallTimeoutMs } from "./peer-rpc.ts";
import type { CallOptions, RpcCall } from "./rpc.ts";

/** An agent as its node needs to know it. */
export interface HostedAgent {
  readonly agentId: string;
  /** What the directory shall say of it now. */
  record(): AgentRecord;
  /** What it does now. */
  stats(): AgentStats;
  /** Answers a directed call of another agent. */
  onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown;
}

export interface HostedAgentsOptions {
  readonly runtime: Runtime;
  readonly codec: Codec;
  /** The node, as callers see it. */
  readonly here: RpcCall["peer"];
}

/** The agents of a node, and the calls they get: from other nodes, and from each other. */
export class HostedAgents {
  readonly #o: HostedAgentsOptions;
  readonly #agents = new Map<string, HostedAgent>();

  constructor(options: HostedAgentsOptions) {
    this.#o = options;
  }

  add(agent: HostedAgent): void {
    this.#agents.set(agent.agentId, agent);
  }

  delete(agentId: string): void {
    this.#agents.delete(agentId);
  }

  stats(): AgentStats[] {
    return [...this.#agents.values()].map((agent) => agent.stats());
  }

  /** Answers a call of another node. @throws {SoormaError} `MESSAGE_MALFORMED`, `NO_RESPONDER`. */
  serve(call: RpcCall): unknown {
    const { params } = call;
    if (!Array.isArray(params) || typeof params[0] !== "string" || typeof params[1] !== "string") {
      throw new SoormaError("MESSAGE_MALFORMED", "a call names no agent or no method");
    }
    return this.#dispatch(params[0], params[1], params[2], call);
  }

  /** Calls an agent from this very node. @throws {SoormaError} `TIMEOUT`, `NO_RESPONDER`, what the agent failed with. */
  async call<Result>(agentId: string, method: string, params: unknown, options: CallOptions = {}): Promise<Result> {
    const { timeoutMs = defaultCallTimeoutMs } = options;
    const controller = new AbortController();
    const gone = Promise.withResolvers<never>();
    gone.promise.catch(() => {});
    const end = (error: unknown): void => {
      controller.abort(error);
      gone.reject(error);
    };
    const timer = this.#o.runtime.setTimer(
      () => end(new SoormaError("TIMEOUT", `"${method}" of ${agentId} got no answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    const onAbort = (): void => end(options.signal?.reason);
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      // Packed and unpacked as if it came from elsewhere: agents that share a process share no objects.
      const copied = this.#o.codec.decode(this.#o.codec.encode([params]));
      const answer = this.#dispatch(agentId, method, Array.isArray(copied) ? copied[0] : undefined, {
        peer: this.#o.here,
        signal: controller.signal,
      });
      const result = await Promise.race([answer, gone.promise]);
      const back = this.#o.codec.decode(this.#packAnswer(result));
      return (Array.isArray(back) ? back[0] : undefined) as Result;
    } finally {
      timer.cancel();
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  #packAnswer(result: unknown): Uint8Array {
    try {
      return this.#o.codec.encode([result]);
    } catch (error) {
      throw namePart(error, result, "answer", "what the handler returned cannot be sent");
    }
  }

  #dispatch(agentId: string, method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    const agent = this.#agents.get(agentId);
    if (!agent) throw new SoormaError("NO_RESPONDER", `${agentId.slice(0, 100)} is not on this node (any more)`);
    return agent.onCall(method, params, call);
  }
}
