import { type Failure, isSoormaError, toFailure } from "../errors.ts";
import type { Codec } from "../events/codec.ts";
import { currentContext } from "../events/context.ts";
import type { Envelope, PackedEnvelope } from "../events/envelope.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Runtime, Timer } from "../runtime.ts";

/** Capability by which the agents are found that want a copy of everything that is sent. */
export const recorderCapability = "soorma.recorder";

/** The call of a recorder by which it gets the copies: a {@link CopyBatch}. Answered when they are kept. */
export const recordMethod = "recorder.take";

/** Calls and notes between agents that are traffic of the users; the others keep the mesh going. */
const copied: ReadonlySet<string> = new Set([
  "request",
  "goal.submit",
  "goal.replay",
  "task.offer",
  "task.result",
  "task.progress",
  "task.cancel",
  "task.delegate",
]);

/** What is copied, as it is sent: times are milliseconds since the epoch by the sender's clock. */
export type Copy =
  | readonly ["call", timeMs: number, callId: number, method: string, to: string, params: unknown]
  | readonly ["answer", timeMs: number, callId: number, ok: true, result: unknown]
  | readonly ["answer", timeMs: number, callId: number, ok: false, failure: Failure]
  | readonly ["note", timeMs: number, method: string, to: string, params: unknown]
  | readonly ["order", timeMs: number, order: CopiedOrder]
  | readonly ["event", timeMs: number, envelope: PackedEnvelope]
  | readonly [
      "delivery",
      timeMs: number,
      event: readonly [id: string, type: string, from: string, traceId: string],
      group: string,
      to: string,
    ];

/** What a person, or an app, wants of a plan. */
export interface CopiedOrder {
  readonly planId: string;
  readonly change: Readonly<Record<string, unknown>> & { readonly type: string };
  /** Of the message in whose handler it was given. */
  readonly parentId?: string;
}

/** Changes of a plan that are orders. What a worker or a planner records of its own work names who did. */
const orders: ReadonlySet<string> = new Set([
  "plan.cancelled",
  "plan.paused",
  "plan.resumed",
  "task.signalled",
  "task.revived",
  "task.discarded",
]);

export interface CopyBatch {
  readonly nodeId: string;
  /** Another one each time a node begins to copy for a recorder: numbers then begin anew. */
  readonly session: number;
  /** Packed copies with their numbers, which begin at 1: what is missing was dropped. */
  readonly copies: readonly (readonly [number: number, packed: Uint8Array])[];
  /** Number of the last copy made so far, dropped ones included, and that nothing follows it. */
  readonly last?: number;
}

/** A node keeps so much for a recorder that does not keep up, and drops what comes then. */
const mostBytes = 8 * 1024 * 1024;
const mostCopies = 20_000;
/** One call to a recorder carries about so much. */
const batchBytes = 256 * 1024;
/** Milliseconds copies wait for company. */
const gatherMs = 20;
const takeTimeoutMs = 5_000;
/** What a call needs beside what it carries. */
const frameOverheadBytes = 1_024;
/** What a copy needs in a call beside itself: its number and its length. */
const copyOverheadBytes = 16;
const longestPauseMs = 2_000;

export interface TapOptions {
  readonly nodeId: string;
  readonly codec: Codec;
  readonly runtime: Runtime;
  readonly maxFrameBytes: number;
  /** Grows from call to call for as long as the node lives: a recorder may come back after the tap that served it ended. */
  readonly nextSession: () => number;
  readonly isReachable: (recorder: AgentRecord) => boolean;
  /** Calls the recorder's {@link recordMethod}. */
  readonly send: (recorder: AgentRecord, batch: CopyBatch, timeoutMs: number) => Promise<unknown>;
}

/**
 * Copies what a node sends to the recorders of its mesh. There is one only while a recorder is there.
 *
 * Nothing waits for it: copies are packed at once, so that they are what was sent, and are kept up to a limit while a
 * recorder is slow. Beyond it they are dropped, which their numbers tell.
 */
export class Tap {
  readonly #o: TapOptions;
  readonly #mirrors = new Map<string, Mirror>();
  #calls = 0;

  constructor(options: TapOptions) {
    this.#o = options;
  }

  /** The recorders that are there now, those that are about to leave among them. */
  follow(recorders: readonly AgentRecord[]): void {
    const known = new Set(recorders.map(({ agentId }) => agentId));
    for (const [agentId, mirror] of this.#mirrors) {
      if (known.has(agentId)) continue;
      this.#mirrors.delete(agentId);
      mirror.close();
    }
    for (const recorder of recorders) {
      const mirror = this.#mirrors.get(recorder.agentId);
      if (!recorder.ready) void mirror?.finish();
      else if (!mirror) this.#mirrors.set(recorder.agentId, new Mirror(this.#o, recorder, this.#o.nextSession()));
    }
  }

  /** Copies a call, if it is one that is copied, and how it was answered. */
  call(to: string, method: string, params: unknown, send: () => Promise<unknown>): Promise<unknown> {
    if (!copied.has(method)) return send();
    const id = ++this.#calls;
    const { runtime } = this.#o;
    if (!this.#copy(["call", runtime.now(), id, method, to, params])) return send();
    const sent = send();
    sent.then(
      (result) => this.#copy(["answer", runtime.now(), id, true, result]),
      (error) => this.#copy(["answer", runtime.now(), id, false, toFailure(error)]),
    );
    return sent;
  }

  note(to: string, method: string, params: unknown): void {
    if (copied.has(method)) this.#copy(["note", this.#o.runtime.now(), method, to, params]);
  }

  /** Copies a call to the state node if it gives an order, once that was taken. */
  order(params: unknown, sent: Promise<unknown>): void {
    const { planId, change, by } = (params ?? {}) as { planId?: unknown; change?: CopiedOrder["change"]; by?: unknown };
    if (typeof planId !== "string" || by !== undefined || !change || !orders.has(change.type)) return;
    const timeMs = this.#o.runtime.now();
    const parentId = currentContext()?.id;
    const order: CopiedOrder = { planId, change, ...(parentId === undefined ? {} : { parentId }) };
    sent.then(
      (answer) => (answer as { accepted?: unknown } | null)?.accepted === true && this.#copy(["order", timeMs, order]),
      () => {},
    );
  }

  event(envelope: PackedEnvelope): void {
    this.#copy(["event", this.#o.runtime.now(), envelope]);
  }

  delivery({ id, type, source, traceId }: Envelope, group: string, to: string): void {
    this.#copy(["delivery", this.#o.runtime.now(), [id, type, source, traceId], group, to]);
  }

  /** Resolves when the recorders that can be reached have everything. Nothing is copied any more. */
  async drain(): Promise<void> {
    const reachable = [...this.#mirrors.values()].filter((mirror) => this.#o.isReachable(mirror.recorder));
    await Promise.all(reachable.map((mirror) => mirror.finish()));
  }

  close(): void {
    for (const mirror of this.#mirrors.values()) mirror.close();
    this.#mirrors.clear();
  }

  /** False when it cannot be packed: then it cannot be sent either. */
  #copy(copy: Copy): boolean {
    let packed: Uint8Array;
    try {
      packed = this.#o.codec.encode(copy);
    } catch {
      return false;
    }
    for (const mirror of this.#mirrors.values()) mirror.add(packed);
    return true;
  }
}

/** What waits for one recorder. One call at a time is under way; it is repeated until it is answered. */
class Mirror {
  readonly #o: TapOptions;
  readonly recorder: AgentRecord;
  readonly #session: number;
  readonly #waiting: (readonly [number, Uint8Array])[] = [];
  #bytes = 0;
  #number = 0;
  #timer: Timer | undefined;
  #isSending = false;
  #isFinishing = false;
  #isClosed = false;
  #failures = 0;
  readonly #over = Promise.withResolvers<void>();

  constructor(options: TapOptions, recorder: AgentRecord, session: number) {
    this.#o = options;
    this.recorder = recorder;
    this.#session = session;
    // An empty one tells the recorder that everything is copied from now on.
    void this.#send();
  }

  add(packed: Uint8Array): void {
    if (this.#isClosed || this.#isFinishing) return;
    const number = ++this.#number;
    const isFull = this.#bytes + packed.byteLength > mostBytes || this.#waiting.length >= mostCopies;
    if (isFull || packed.byteLength > this.#o.maxFrameBytes - frameOverheadBytes) return;
    this.#waiting.push([number, packed]);
    this.#bytes += packed.byteLength;
    if (this.#bytes >= batchBytes && this.#failures === 0) this.#soon(0);
    else this.#soon(gatherMs);
  }

  /** Nothing follows what there is. Resolves when the recorder has it, or is gone. */
  finish(): Promise<void> {
    if (!this.#isFinishing) {
      this.#isFinishing = true;
      this.#soon(0);
    }
    return this.#over.promise;
  }

  close(): void {
    this.#isClosed = true;
    this.#over.resolve();
    this.#timer?.cancel();
    this.#waiting.length = 0;
  }

  #soon(delayMs: number): void {
    if (this.#isSending) return;
    if (this.#timer && delayMs > 0) return;
    this.#timer?.cancel();
    this.#timer = this.#o.runtime.setTimer(() => void this.#send(), delayMs, { background: true });
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    if (this.#isClosed || this.#isSending) return;
    this.#isSending = true;
    const batch = this.#batch();
    try {
      await this.#o.send(this.recorder, batch, takeTimeoutMs);
      this.#failures = 0;
      for (const [, packed] of this.#waiting.splice(0, batch.copies.length)) this.#bytes -= packed.byteLength;
    } catch (error) {
      this.#failures++;
      // Whoever says so is no recorder, whatever it calls itself.
      if (isSoormaError(error, "METHOD_UNKNOWN")) this.close();
    }
    this.#isSending = false;
    if (this.#isClosed) return;
    const isOver = this.#failures === 0 && batch.last !== undefined;
    if (isOver) this.#over.resolve();
    if (this.#failures > 0) this.#soon(Math.min(longestPauseMs, 50 * 2 ** this.#failures));
    else if (this.#waiting.length > 0 || (this.#isFinishing && !isOver))
      this.#soon(this.#bytes >= batchBytes || this.#isFinishing ? 0 : gatherMs);
  }

  #batch(): CopyBatch {
    const most = Math.min(batchBytes, this.#o.maxFrameBytes - frameOverheadBytes);
    let bytes = 0;
    let count = 0;
    for (const [, packed] of this.#waiting) {
      bytes += packed.byteLength + copyOverheadBytes;
      if (count > 0 && bytes > most) break;
      count++;
    }
    const isLast = this.#isFinishing && count === this.#waiting.length;
    const { nodeId } = this.#o;
    return {
      nodeId,
      session: this.#session,
      copies: this.#waiting.slice(0, count),
      ...(isLast ? { last: this.#number } : {}),
    };
  }
}
