import { ptr } from "bun:ffi";
import { Worker } from "node:worker_threads";
import { Linger } from "./linger.ts";
import { loadNative, type Native, type Pointer } from "./native.ts";
// @ts-expect-error the module's text, so that a bundle carries it inside
import workerSource from "./reactor-worker.ts" with { type: "text" };
import { contextOption, zmqError } from "./zmq.ts";

/** Something with a `ZMQ_FD`. */
export interface Pollable {
  readonly fd: number;
  /** Set by the reactor: it is in the list of what to pump next. */
  hot: boolean;
  /** Its place in the reactor's list. */
  slot: number;
  /**
   * Does the work there is, up to a bound, and processes the socket's pending commands; must not throw.
   * Returns {@link worked} when messages moved, {@link unfinished} when the bound was reached.
   */
  pump(): number;
}

export const worked = 1;
export const unfinished = 2;

const maxSockets = 16_384;
const arenaBytes = 256 * 1024;

// States of the worker, in the first word of its control block.
const idle = 0;
const armed = 1;
const ending = 2;
const [stateAt, generationAt, countAt, wakePendingAt] = [0, 1, 2, 3];

/**
 * One libzmq context and the thread that watches its sockets; a process has at most one.
 *
 * Bun cannot watch a descriptor without reading it, so a worker blocks in poll(2) on all of them and rings by
 * `postMessage`. Then it waits until the main thread has nothing left to do and arms it again. `ZMQ_FD` is
 * edge-triggered: it only says that commands came; whoever calls a socket function must look for messages afterwards.
 * The clock used here is the real one, not an injected `Runtime`: the descriptors are real too.
 */
export class Reactor {
  readonly native: Native;
  readonly context: Pointer;
  /** Received frames are copied here; valid until the next message is received. */
  readonly arena = new Uint8Array(arenaBytes);
  readonly arenaAt: Pointer = ptr(this.arena);
  /** A `zmq_msg_t`: 64 bytes, aligned to 8. */
  readonly message: Pointer;
  readonly #messageBytes = new BigUint64Array(8);
  readonly #control = new Int32Array(new SharedArrayBuffer(16));
  readonly #watched = new Int32Array(new SharedArrayBuffer(maxSockets * 4));
  readonly #wakeFd: number;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #pollables: Pollable[] = [];
  #descriptors = new Int32Array(64);
  #results = new Int16Array(this.#descriptors.buffer);
  #hot: Pollable[] = [];
  #scheduled = false;
  #armed = false;
  readonly #linger = new Linger();
  #users = 0;
  #keepAlive = 0;
  #monitors = 0;

  constructor() {
    const library = loadNative();
    this.native = library.native;
    this.message = ptr(this.#messageBytes);
    this.native.zmq_msg_init(this.message);
    this.context = this.native.zmq_ctx_new();
    if (!this.context) throw zmqError("creating a libzmq context", this.native.zmq_errno());
    this.native.zmq_ctx_set(this.context, contextOption.maxSockets, maxSockets);
    const wake = new Int32Array(2);
    if (this.native.pipe(wake) !== 0) {
      const cause = zmqError("creating a pipe", this.native.zmq_errno());
      this.native.zmq_ctx_term(this.context);
      throw cause;
    }
    const [wakeFd = -1, wakeWriteFd = -1] = wake;
    this.#wakeFd = wakeWriteFd;
    // From text and not from a URL: this works alike in a source tree, in node_modules, in a bundle and in an executable.
    const source = new Bun.Transpiler({ loader: "ts", target: "bun" }).transformSync(workerSource as string);
    this.#worker = new Worker(source, {
      eval: true,
      workerData: {
        path: library.path,
        control: this.#control.buffer,
        fds: this.#watched.buffer,
        wakeFd,
        wakeWriteFd,
        context: this.context,
      },
    });
    this.#worker.on("message", () => {
      this.#armed = false;
      this.#linger.rang(performance.now());
      this.#tick();
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#worker.once("exit", () => resolve());
      this.#worker.once("error", reject);
    });
    this.#ended.catch(() => {});
    // After the listeners: listening refers to it again.
    this.#worker.unref();
    this.#schedule();
  }

  /** A name for an `inproc://` endpoint nobody else uses. */
  nextMonitorEndpoint(): string {
    return `inproc://monitor-${++this.#monitors}`;
  }

  /** Counts a user; see {@link release}. */
  retain(): void {
    this.#users++;
  }

  /** Ends the thread and the context after the last user. Resolves then, or at once when others go on. */
  async release(): Promise<void> {
    if (--this.#users > 0) return;
    if (current === this) current = undefined;
    // Whoever waits for the end must not lose the process to an empty event loop.
    this.#worker.ref();
    Atomics.store(this.#control, stateAt, ending);
    Atomics.notify(this.#control, stateAt);
    this.#wake();
    await this.#ended;
    this.native.zmq_msg_close(this.message);
  }

  /** Keeps the process alive while at least one of those who asked for it is open. */
  keepAlive(on: boolean): void {
    this.#keepAlive += on ? 1 : -1;
    if (this.#keepAlive === 0) this.#worker.unref();
    else if (on && this.#keepAlive === 1) this.#worker.ref();
  }

  add(pollable: Pollable): void {
    pollable.slot = this.#pollables.length;
    this.#pollables.push(pollable);
    if (this.#descriptors.length < this.#pollables.length * 2) {
      const larger = new Int32Array(this.#descriptors.length * 2);
      larger.set(this.#descriptors);
      this.#descriptors = larger;
      this.#results = new Int16Array(larger.buffer);
    }
    this.#place(pollable);
    this.#changed();
    this.touch(pollable);
  }

  /** Call before the descriptor is closed. */
  remove(pollable: Pollable): void {
    const last = this.#pollables.pop();
    if (last !== undefined && last !== pollable) {
      last.slot = pollable.slot;
      this.#pollables[last.slot] = last;
      this.#place(last);
    }
    pollable.slot = -1;
    this.#changed();
  }

  /** Has `pollable` pumped soon. Needed after every call that may have processed its commands unseen. */
  touch(pollable: Pollable): void {
    if (pollable.hot) return;
    pollable.hot = true;
    this.#hot.push(pollable);
    this.#schedule();
  }

  #place(pollable: Pollable): void {
    this.#descriptors[pollable.slot * 2] = pollable.fd;
    this.#results[pollable.slot * 4 + 2] = 1; // POLLIN
    Atomics.store(this.#watched, pollable.slot, pollable.fd);
  }

  #changed(): void {
    Atomics.store(this.#control, countAt, this.#pollables.length);
    Atomics.add(this.#control, generationAt, 1);
    if (this.#armed) this.#wake();
  }

  #wake(): void {
    // At most one byte at a time, so that this can never block on a full pipe.
    if (Atomics.exchange(this.#control, wakePendingAt, 1) === 0) this.native.write(this.#wakeFd, oneByte, 1);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#tick);
  }

  readonly #tick = (): void => {
    this.#scheduled = false;
    const count = this.#pollables.length;
    // Level-triggered: a descriptor stays readable until its socket's commands are processed.
    if (count > 0 && this.native.poll(this.#descriptors, count, 0) > 0) {
      for (let i = 0; i < count; i++) {
        if (this.#results[i * 4 + 3] === 0) continue;
        const pollable = this.#pollables[i];
        if (pollable === undefined || pollable.hot) continue;
        pollable.hot = true;
        this.#hot.push(pollable);
      }
    }
    let moved = false;
    if (this.#hot.length > 0) {
      const round = this.#hot;
      this.#hot = [];
      for (const pollable of round) {
        pollable.hot = false;
        if (pollable.slot < 0) continue;
        const result = pollable.pump();
        if (result & worked) moved = true;
        if (result & unfinished) this.touch(pollable);
      }
    }
    const now = performance.now();
    const lingers = this.#linger.looked(now, moved);
    // While there is nothing to do, libzmq's thread goes first: without this a looking main thread takes the processor
    // that the message it looks for needs (measured on 2 busy cores: round trip 370 µs, with it 52 µs).
    if (lingers && !moved) this.native.sched_yield();
    if (this.#hot.length > 0 || lingers) this.#schedule();
    else if (!this.#armed && this.#users > 0) this.#arm();
  };

  #arm(): void {
    // Not over `ending`.
    if (Atomics.compareExchange(this.#control, stateAt, idle, armed) !== idle) return;
    this.#armed = true;
    Atomics.notify(this.#control, stateAt);
  }
}

const oneByte = new Uint8Array(1);

// The one thing in this package that belongs to the process and not to an object: a second thread and a second context
// would only cost. It is there while sockets are.
let current: Reactor | undefined;

/** This process's reactor, started when there is none. Each call takes one `release`. */
export function acquireReactor(): Reactor {
  current ??= new Reactor();
  current.retain();
  return current;
}
