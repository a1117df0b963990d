import { isSoormaError } from "../errors.ts";
import type { Address, Transport } from "../plugin/transport.ts";
import type { Runtime } from "../runtime.ts";

/** What a frame of several messages holds at most; a larger message travels alone. */
const frameBytes = 64 * 1024;

/** Called once: with nothing when the transport took the message, else with what stopped it. */
type Done = (error?: unknown) => void;

/** A peer that was sent something lately. */
interface Lane {
  /** What waits for the end of the turn. */
  readonly messages: Uint8Array[];
  readonly done: Done[];
  bytes: number;
  /** Messages of this turn. */
  count: number;
  /** In its last turn there were several: then there will be again. */
  isBusy: boolean;
}

/**
 * Messages on their way to peers, in the order they were given.
 *
 * Those to one peer in one turn of the event loop travel together as one frame, one behind the other: passing a frame on costs as much
 * as packing several messages, and with fifty calls in flight turns have many. A first message goes at once, unless the turn
 * before had several: sent ahead of the others it would be answered ahead of them, and all that follows would come apart.
 */
export class Outbox {
  readonly #transport: Transport;
  readonly #runtime: Runtime;
  readonly #lanes = new Map<Address, Lane>();
  #ends = false;
  readonly #endTurn = (): void => {
    this.#ends = false;
    this.flush();
    for (const [to, lane] of this.#lanes) {
      if (lane.count === 0) this.#lanes.delete(to);
      lane.isBusy = lane.count > 1;
      lane.count = 0;
    }
  };

  constructor(transport: Transport, runtime: Runtime) {
    this.#transport = transport;
    this.#runtime = runtime;
  }

  /** `done` may be called before this returns. */
  send(to: Address, message: Uint8Array, done: Done): void {
    const lane = this.#laneTo(to);
    if (!this.#ends) {
      this.#ends = true;
      this.#runtime.defer(this.#endTurn);
    }
    const isFirst = lane.count++ === 0;
    if (lane.bytes + message.byteLength > frameBytes) this.#flush(to, lane);
    if ((isFirst && !lane.isBusy) || message.byteLength > frameBytes) {
      this.#pass(to, message, done);
      return;
    }
    lane.messages.push(message);
    lane.done.push(done);
    lane.bytes += message.byteLength;
  }

  /** Sends what waits. */
  flush(): void {
    for (const [to, lane] of this.#lanes) this.#flush(to, lane);
  }

  #laneTo(to: Address): Lane {
    let lane = this.#lanes.get(to);
    if (lane === undefined) {
      lane = { messages: [], done: [], bytes: 0, count: 0, isBusy: false };
      this.#lanes.set(to, lane);
    }
    return lane;
  }

  #flush(to: Address, lane: Lane): void {
    if (lane.bytes === 0) return;
    const messages = lane.messages.splice(0);
    const dones = lane.done.splice(0);
    const frame = join(messages, lane.bytes);
    lane.bytes = 0;
    this.#pass(to, frame, (error) => {
      // Each for itself may be small enough.
      const apart = messages.length > 1 && isSoormaError(error, "MESSAGE_TOO_LARGE");
      for (const [i, done] of dones.entries()) {
        const message = messages[i];
        if (apart && message) this.#pass(to, message, done);
        else done(error);
      }
    });
  }

  #pass(to: Address, frame: Uint8Array, done: Done): void {
    let sent: void | Promise<void>;
    try {
      sent = this.#transport.send(to, frame);
    } catch (error) {
      done(error);
      return;
    }
    if (sent === undefined) done();
    else sent.then(() => done(), done);
  }
}

function join(messages: readonly Uint8Array[], bytes: number): Uint8Array {
  if (messages.length === 1 && messages[0]) return messages[0];
  const frame = new Uint8Array(bytes);
  let end = 0;
  for (const message of messages) {
    frame.set(message, end);
    end += message.byteLength;
  }
  return frame;
}
