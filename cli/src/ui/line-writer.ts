import { write } from "node:fs";
import { outputFault } from "./disk-fault.ts";

export interface LineWriter {
  /** Takes a line; false when so much waits to be written that it is dropped. */
  push(line: string): boolean;
  /** Lines dropped since they were last asked for. */
  takeDropped(): number;
  /** Resolves when everything taken is written, or nobody reads any more. */
  flush(): Promise<void>;
  /** Resolves when whoever read went away: `soorma … | head -1`. Rejects when the disk takes no more. */
  readonly closed: Promise<void>;
}

/** What may wait to be written. */
const mostBytes = 8 * 1024 * 1024;
/** What is written at once. */
const chunkBytes = 64 * 1024;
/** A pipe that does not block says so when it is full; there is no way to wait for it. */
const fullPipeMs = 5;

/**
 * Writes lines without ever keeping the thread: a reader that is slow, or stopped, must not slow down whoever sends to this
 * process. What it does not read in time is dropped, and counted.
 */
export function createLineWriter(fd: number, limits: { readonly mostBytes?: number } = {}): LineWriter {
  const most = limits.mostBytes ?? mostBytes;
  const closed = Promise.withResolvers<void>();
  closed.promise.catch(() => {});
  let waiting: string[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let isClosed = false;
  let writing: Promise<void> | undefined;

  const writeSome = (bytes: Uint8Array): Promise<number> =>
    new Promise((resolve, reject) => write(fd, bytes, (error, count) => (error ? reject(error) : resolve(count))));

  const writeAll = async (bytes: Uint8Array): Promise<void> => {
    for (let sent = 0; sent < bytes.length && !isClosed; ) {
      try {
        sent += await writeSome(bytes.subarray(sent));
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (code === "EAGAIN") await Bun.sleep(fullPipeMs);
        else {
          isClosed = true;
          if (code === "EPIPE" || code === "EIO") closed.resolve();
          else closed.reject(outputFault("the output", error));
        }
      }
    }
  };

  const drain = async (): Promise<void> => {
    while (waiting.length > 0 && !isClosed) {
      let chunk = "";
      let taken = 0;
      while (taken < waiting.length && chunk.length < chunkBytes) chunk += `${waiting[taken++]}\n`;
      waiting = waiting.slice(taken);
      const bytes = new TextEncoder().encode(chunk);
      await writeAll(bytes);
      waitingBytes -= bytes.length;
    }
  };

  return {
    closed: closed.promise,
    push(line) {
      if (isClosed) return false;
      const bytes = Buffer.byteLength(line) + 1;
      // One that is larger than all there is room for goes alone.
      if (waitingBytes > 0 && waitingBytes + bytes > most) {
        dropped++;
        return false;
      }
      waiting.push(line);
      waitingBytes += bytes;
      writing ??= drain().finally(() => {
        writing = undefined;
      });
      return true;
    },
    takeDropped() {
      const count = dropped;
      dropped = 0;
      return count;
    },
    async flush() {
      while (writing) await writing;
    },
  };
}
