import type { Stream, StreamHandler } from "./network.ts";

/** What is written on a connection: length (4 bytes, big-endian), kind (1 byte), content. */
export const kinds = { hello: 0, message: 1, event: 2, subscribe: 3, subscribed: 4, unsubscribe: 5 } as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

const headerBytes = 5;
/** Longest frame that no user wrote, such as subscriptions. */
const ownBytes = 1024 * 1024;

export interface WireEvents {
  /** `content` is only valid during the call. What it throws ends the connection. */
  onFrame(kind: Kind, content: Uint8Array): void;
  /** Once; `problem` when the peer broke the protocol. */
  onClose(problem: string | undefined): void;
}

/** Frames over one connection. What it does not take yet waits here. */
export class Wire implements StreamHandler {
  readonly #stream: Stream;
  readonly #events: WireEvents;
  readonly #maxBytes: number;
  /** Of a frame that is not whole yet. */
  #pieces: Uint8Array[] = [];
  #size = 0;
  /** So many bytes have to be there before there is something to do. */
  #needed = headerBytes;
  #waiting: Uint8Array[] = [];
  #drained: (() => void)[] = [];
  #closed = false;

  constructor(stream: Stream, maxFrameBytes: number, events: WireEvents) {
    this.#stream = stream;
    this.#events = events;
    this.#maxBytes = maxFrameBytes;
  }

  write(kind: Kind, content: Uint8Array): void {
    if (this.#closed) return;
    const frame = new Uint8Array(headerBytes + content.byteLength);
    new DataView(frame.buffer).setUint32(0, content.byteLength);
    frame[4] = kind;
    frame.set(content, headerBytes);
    this.#waiting.push(frame);
    if (this.#waiting.length === 1) this.drain();
  }

  drain(): void {
    for (let frame = this.#waiting[0]; frame; frame = this.#waiting[0]) {
      const taken = Math.max(0, this.#stream.write(frame));
      if (taken < frame.byteLength) {
        this.#waiting[0] = frame.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    for (const drained of this.#drained.splice(0)) drained();
  }

  read(chunk: Uint8Array): void {
    this.#size += chunk.byteLength;
    if (this.#size < this.#needed) {
      this.#pieces.push(chunk.slice());
      return;
    }
    const rest = this.#takeFrames(this.#pieces.length === 0 ? chunk : Buffer.concat([...this.#pieces, chunk]));
    this.#pieces = rest.byteLength > 0 ? [rest.slice()] : [];
    this.#size = rest.byteLength;
  }

  closed(): void {
    this.end();
  }

  /** Resolves when everything was handed over, or the connection is gone. */
  drained(): Promise<void> {
    if (this.#closed || this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  end(problem?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.end();
    this.#waiting = [];
    for (const drained of this.#drained.splice(0)) drained();
    this.#events.onClose(problem);
  }

  /** @returns what is left: the beginning of a frame. */
  #takeFrames(bytes: Uint8Array): Uint8Array {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    this.#needed = headerBytes;
    while (!this.#closed && bytes.byteLength - at >= headerBytes) {
      const length = view.getUint32(at);
      const kind = bytes[at + 4] as Kind;
      const most = kind === kinds.message || kind === kinds.event ? this.#maxBytes : ownBytes;
      if (length > most) {
        this.end(`a frame of ${length} bytes, and ${most} is the most`);
        break;
      }
      const end = at + headerBytes + length;
      if (bytes.byteLength < end) {
        this.#needed = end - at;
        break;
      }
      try {
        this.#events.onFrame(kind, bytes.subarray(at + headerBytes, end));
      } catch (problem) {
        this.end(`a frame that cannot be read: ${problem}`);
      }
      at = end;
    }
    return bytes.subarray(at);
  }
}
