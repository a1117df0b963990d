import { SoormaError } from "../errors.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { RpcCall, RpcPeer } from "./rpc.ts";

/** A call being answered. Its signal and the timer behind it exist only if the handler looks at it, however late. */
export class AnsweredCall implements RpcCall {
  readonly params: unknown;
  readonly peer: RpcPeer;
  readonly #runtime: Runtime;
  readonly #timeoutMs: number;
  readonly #sinceMs: number;
  #controller: AbortController | undefined;
  #timer: Timer | undefined;
  /** Why nobody waits for the answer any more. */
  #over: { readonly reason: unknown } | undefined;
  #isReleased = false;

  constructor(params: unknown, peer: RpcPeer, runtime: Runtime, timeoutMs: number) {
    this.params = params;
    this.peer = peer;
    this.#runtime = runtime;
    this.#timeoutMs = timeoutMs;
    this.#sinceMs = runtime.monotonic();
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      const controller = new AbortController();
      this.#controller = controller;
      const leftMs = this.#timeoutMs - (this.#runtime.monotonic() - this.#sinceMs);
      if (this.#over) controller.abort(this.#over.reason);
      else if (this.#isReleased) return controller.signal;
      else if (leftMs <= 0) controller.abort(this.#late());
      else this.#timer = this.#runtime.setTimer(() => controller.abort(this.#late()), leftMs, { background: true });
    }
    return this.#controller.signal;
  }

  giveUp(reason: unknown): void {
    this.#over ??= { reason };
    this.#timer?.cancel();
    this.#controller?.abort(reason);
  }

  /** It is answered: nothing is to be watched any more. */
  release(): void {
    this.#isReleased = true;
    this.#timer?.cancel();
  }

  #late(): SoormaError {
    return new SoormaError("TIMEOUT", `the caller's ${this.#timeoutMs} ms are over`);
  }
}
