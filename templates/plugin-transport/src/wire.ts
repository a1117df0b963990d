import type { Socket } from "bun";

/** What is written on a connection: length (4 bytes), kind (1 byte), content. */
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
  onFrame(kind: Kind, content: Uint8Array): void;
  /** Once; `problem` when the peer broke the protocol. */
  onClose(problem: string | undefined): void;
}

/** Frames over one socket. What the socket does not take yet waits here. */
export class Wire {
  readonly #socket: Socket<unknown>;
  readonly #events: WireEvents;
  readonly #maxBytes: number;
  #received = new Uint8Array(0);
  #waiting: Uint8Array[] = [];
  #drained: (() => void)[] = [];
  #closed = false;

  constructor(socket: Socket<unknown>, maxFrameBytes: number, events: WireEvents) {
    this.#socket = socket;
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
    if (this.#waiting.length === 1) this.flush();
  }

  /** Called again when the socket has room. */
  flush(): void {
    for (let frame = this.#waiting[0]; frame; frame = this.#waiting[0]) {
      const written = Math.max(0, this.#socket.write(frame));
      if (written < frame.byteLength) {
        this.#waiting[0] = frame.subarray(written);
        return;
      }
      this.#waiting.shift();
    }
    for (const drained of this.#drained.splice(0)) drained();
  }

  /** Reads what came; a frame may come in pieces, and several at once. */
  read(chunk: Uint8Array): void {
    const bytes = new Uint8Array(this.#received.byteLength + chunk.byteLength);
    bytes.set(this.#received);
    bytes.set(chunk, this.#received.byteLength);
    let at = 0;
    while (!this.#closed && bytes.byteLength - at >= headerBytes) {
      const length = new DataView(bytes.buffer).getUint32(at);
      const kind = bytes[at + 4] as Kind;
      const most = kind === kinds.message || kind === kinds.event ? this.#maxBytes : ownBytes;
      if (length > most) {
        this.end(`a frame of ${length} bytes, and ${most} is the most`);
        return;
      }
      const end = at + headerBytes + length;
      if (bytes.byteLength < end) break;
      try {
        this.#events.onFrame(kind, bytes.slice(at + headerBytes, end));
      } catch (problem) {
        this.end(`a frame that cannot be read: ${problem}`);
        return;
      }
      at = end;
    }
    this.#received = bytes.slice(at);
  }

  /** Resolves when everything was handed to the operating system, or the connection is gone. */
  drained(): Promise<void> {
    if (this.#closed || this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  end(problem?: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.end();
    this.#waiting = [];
    for (const drained of this.#drained.splice(0)) drained();
    this.#events.onClose(problem);
  }
}
