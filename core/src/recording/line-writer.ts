import type { Copy } from "../mesh/tap.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { RecordedMessage, RecordingHeader, RecordingLine } from "./format.ts";
import type { CopyTranslator } from "./translator.ts";

/** Messages from several nodes are brought into the order of time within so many milliseconds. */
const orderMs = 100;
/** A message about a task whose offer has not come yet waits for it so many milliseconds: its sender's clock may be ahead. */
const offerMs = 2_000;
/** With so much not written yet, nodes have to wait. */
const mostHeldBytes = 32 * 1024 * 1024;

/** Something that waits for its place in the order of time. */
interface Held {
  readonly time: number;
  readonly bytes: number;
  readonly heldAt: number;
  readonly nodeId: string;
  readonly copy?: Copy;
  readonly line?: RecordingLine;
}

export interface LineWriterOptions {
  readonly runtime: Runtime;
  readonly translator: CopyTranslator;
  readonly write: (lines: readonly (RecordingHeader | RecordingLine)[]) => void | Promise<void>;
  /** What is written of a message; nothing for one that is left out. */
  readonly finish: (message: RecordedMessage) => RecordedMessage | undefined;
  /** A copy cannot be read. */
  readonly onRefused: (nodeId: string, error: unknown) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Brings copies of many nodes into the order of time, and writes lines of them. */
export class LineWriter {
  readonly #o: LineWriterOptions;
  #held: Held[] = [];
  /** Of what is held and of what is being written. */
  #bytes = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #messages = 0;
  #lost = 0;
  #room: PromiseWithResolvers<void> | undefined;
  /** `write` failed: nothing is written any more. */
  hasFailed = false;
  /** The end was written. */
  isClosed = false;

  constructor(options: LineWriterOptions, header: RecordingHeader) {
    this.#o = options;
    this.#write([header], 0);
  }

  get messages(): number {
    return this.#messages;
  }

  /** Messages that are not in the recording, as far as they could be counted. */
  get lost(): number {
    return this.#lost;
  }

  copy(nodeId: string, copy: Copy, bytes: number): void {
    const time = Array.isArray(copy) && typeof copy[1] === "number" ? copy[1] : 0;
    this.#hold({ time, bytes, nodeId, copy });
  }

  line(line: Exclude<RecordingLine, { readonly kind: "lost" }>): void {
    this.#hold({ time: line.time, bytes: 0, nodeId: "", line });
  }

  missed(nodeId: string, count: number, why: string): void {
    this.#lost += count;
    const time = this.#o.runtime.now();
    this.#hold({ time, bytes: 0, nodeId, line: { kind: "lost", time, nodeId, count, why } });
  }

  /** A promise while there is no room for more. */
  room(): Promise<void> | undefined {
    return this.#bytes > mostHeldBytes ? this.#makeRoom() : undefined;
  }

  /** Writes what there is, and the end. What comes then is dropped. */
  async close(): Promise<void> {
    this.isClosed = true;
    this.#timer?.cancel();
    this.#flush(true);
    const { messages, lost } = this;
    this.#write([{ kind: "end", time: this.#o.runtime.now(), messages, lost }], 0);
    await this.#writing;
  }

  async #makeRoom(): Promise<void> {
    // What was held is written when it is due, by the timer: looking again before that would only keep it from firing.
    while (this.#bytes > mostHeldBytes && !this.hasFailed) {
      this.#room ??= Promise.withResolvers();
      await this.#room.promise;
    }
  }

  #hold(held: Omit<Held, "heldAt">): void {
    if (this.isClosed) return;
    this.#held.push({ ...held, heldAt: this.#o.runtime.monotonic() });
    this.#bytes += held.bytes;
    this.#flushSoon();
  }

  #flushSoon(): void {
    this.#timer ??= this.#o.runtime.setTimer(
      () => {
        this.#timer = undefined;
        this.#flush(false);
      },
      orderMs / 2,
      { background: true },
    );
  }

  /** Writes what was held long enough, or everything, in the order of time. */
  #flush(all: boolean): void {
    const { runtime, translator } = this.#o;
    const dueAt = runtime.monotonic() - orderMs;
    const due = all ? this.#held : this.#held.filter(({ heldAt }) => heldAt <= dueAt);
    const kept = all ? [] : this.#held.filter(({ heldAt }) => heldAt > dueAt);
    // Stable: what one node sent in the same millisecond stays in its order.
    due.sort((a, b) => a.time - b.time);
    const lines: RecordingLine[] = [];
    const orphans = new Map<string, number>();
    const early: Held[] = [];
    let bytes = 0;
    const write = ({ copy, line, nodeId, bytes: size }: Held): void => {
      bytes += size;
      if (line) lines.push(line);
      if (copy && !this.#translate(nodeId, copy, lines)) orphans.set(nodeId, (orphans.get(nodeId) ?? 0) + 1);
    };
    /** Calls that wait: their answers wait with them. */
    const waiting = new Set<string>();
    const isEarly = ({ copy, nodeId }: Held): boolean => {
      if (!copy) return false;
      const call = copy[0] === "call" || copy[0] === "answer" ? `${nodeId} ${copy[2]}` : "";
      if (copy[0] === "answer") return waiting.has(call);
      const early = translator.isEarly(copy);
      if (early) waiting.add(call);
      else waiting.delete(call);
      return early;
    };
    for (const held of due) {
      if (isEarly(held)) early.push(held);
      else write(held);
    }
    for (const held of early) {
      // Its offer was behind it, or has not come yet.
      const waits = isEarly(held);
      if (waits && !all && held.heldAt > dueAt - offerMs) kept.push(held);
      else write(held);
    }
    for (const [nodeId, count] of orphans) {
      this.#lost += count;
      lines.push({ kind: "lost", time: runtime.now(), nodeId, count, why: "they answer something that was lost" });
    }
    this.#held = kept;
    if (lines.length > 0 || bytes > 0) this.#write(lines, bytes);
    if (kept.length > 0) this.#flushSoon();
  }

  /** False for an answer to something that was lost. */
  #translate(nodeId: string, copy: Copy, lines: RecordingLine[]): boolean {
    const { translator, finish, onRefused } = this.#o;
    try {
      const messages = translator.translate(nodeId, copy);
      for (const message of messages ?? []) {
        const finished = finish(message);
        if (!finished) continue;
        this.#messages++;
        lines.push(finished);
      }
      return messages !== undefined;
    } catch (error) {
      onRefused(nodeId, error);
      return true;
    }
  }

  #write(lines: readonly (RecordingHeader | RecordingLine)[], bytes: number): void {
    this.#writing = this.#writing.then(async () => {
      try {
        if (!this.hasFailed) await this.#o.write(lines);
      } catch (error) {
        this.hasFailed = true;
        this.#o.onFailure(error);
      }
      this.#bytes -= bytes;
      this.#room?.resolve();
      this.#room = undefined;
    });
  }
}
