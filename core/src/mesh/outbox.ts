import { isSoormaError } from "../errors.ts";
import type { Address, Transport } from "../plugin/transport.ts";
import type { Runtime } from "../runtime.ts";

/** What a parcel holds at most; a larger message travels alone. */
const parcelBytes = 64 * 1024;

/** Called once: with nothing when the transport took the message, else with what stopped it. */
type Done = (error?: unknown) => void;

/** Messages for one peer that wait for the end of the turn. */
interface Parcel {
  readonly messages: Uint8Array[];
  readonly done: Done[];
  bytes: number;
}

/**
 * Messages on their way to peers, in the order they were given.
 *
 * The first one to a peer goes at once. Those that follow in the same turn of the event loop travel together as one frame, one
 * behind the other: passing a frame on costs as much as packing several messages, and with fifty calls in flight turns have many.
 */
export class Outbox {
  readonly #transport: Transport;
  readonly #runtime: Runtime;
  /** Peers that were sent something in this turn, with what waits for its end. */
  readonly #parcels = new Map<Address, Parcel>();
  readonly #endTurn = (): void => {
    this.flush();
    this.#parcels.clear();
  };

  constructor(transport: Transport, runtime: Runtime) {
    this.#transport = transport;
    this.#runtime = runtime;
  }

  /** `done` may be called before this returns. */
  send(to: Address, message: Uint8Array, done: Done): void {
    const parcel = this.#parcels.get(to);
    if (parcel === undefined) {
      if (this.#parcels.size === 0) this.#runtime.defer(this.#endTurn);
      this.#parcels.set(to, { messages: [], done: [], bytes: 0 });
      this.#pass(to, message, done);
      return;
    }
    if (parcel.bytes + message.byteLength > parcelBytes) this.#flush(to, parcel);
    if (message.byteLength > parcelBytes) {
      this.#pass(to, message, done);
      return;
    }
    parcel.messages.push(message);
    parcel.done.push(done);
    parcel.bytes += message.byteLength;
  }

  /** Sends what waits. */
  flush(): void {
    for (const [to, parcel] of this.#parcels) this.#flush(to, parcel);
  }

  #flush(to: Address, parcel: Parcel): void {
    if (parcel.bytes === 0) return;
    const messages = parcel.messages.splice(0);
    const dones = parcel.done.splice(0);
    const frame = join(messages, parcel.bytes);
    parcel.bytes = 0;
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
