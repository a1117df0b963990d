// The reactor's thread: blocks in poll(2) on the sockets' descriptors and rings the main thread. It is loaded as text and
// started from that (see reactor.ts), so it imports nothing but built-in modules and exports nothing.
import { dlopen } from "bun:ffi";
import { parentPort, workerData } from "node:worker_threads";

const { path, control, fds, wakeFd, wakeWriteFd, context } = workerData as {
  path: string;
  control: SharedArrayBuffer;
  fds: SharedArrayBuffer;
  wakeFd: number;
  wakeWriteFd: number;
  context: number;
};
const { symbols: native } = dlopen(path, {
  zmq_ctx_term: { args: ["ptr"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

// The same numbers as in reactor.ts.
const idle = 0;
const ending = 2;
const [stateAt, generationAt, countAt, wakePendingAt] = [0, 1, 2, 3];

const shared = new Int32Array(control);
const watched = new Int32Array(fds);
const wakeBytes = new Uint8Array(64);
let generation = -1;
let count = 0;
let descriptors = new Int32Array(2);
let results = new Int16Array(descriptors.buffer);

const reload = (): void => {
  // The list may change while it is copied: then the generation read first is old, and it is copied again.
  generation = Atomics.load(shared, generationAt);
  count = Atomics.load(shared, countAt) + 1;
  if (descriptors.length < count * 2) {
    descriptors = new Int32Array(count * 4);
    results = new Int16Array(descriptors.buffer);
  }
  for (let i = 0; i < count; i++) {
    descriptors[i * 2] = i === 0 ? wakeFd : Atomics.load(watched, i - 1);
    results[i * 4 + 2] = 1; // POLLIN
  }
};

while (Atomics.load(shared, stateAt) !== ending) {
  if (Atomics.load(shared, stateAt) === idle) {
    Atomics.wait(shared, stateAt, idle);
    continue;
  }
  if (generation !== Atomics.load(shared, generationAt)) reload();
  results[3] = 0;
  const ready = native.poll(descriptors, count, -1);
  if (ready <= 0) continue; // a signal
  const woken = results[3] !== 0;
  if (woken) {
    native.read(wakeFd, wakeBytes, wakeBytes.length);
    Atomics.store(shared, wakePendingAt, 0);
  }
  // Only from armed to idle: the main thread may just have said that it ends.
  if (ready > (woken ? 1 : 0) && Atomics.compareExchange(shared, stateAt, 1, idle) === 1) parentPort?.postMessage(0);
}

// Here rather than on the main thread because it waits for the last sockets to be gone.
native.zmq_ctx_term(context as never);
native.close(wakeFd);
native.close(wakeWriteFd);
