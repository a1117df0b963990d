import { eventMask, type MonitorEvent, parseMonitorEvent } from "./monitor.ts";
import type { Pointer } from "./native.ts";
import { setOption } from "./options.ts";
import { type Pollable, type Reactor, worked } from "./reactor.ts";
import { cString, flag, type MonitorEventName, option, socketTypes, zmqError } from "./zmq.ts";

/** The PAIR socket that a socket's monitor writes to. Lives until the monitored socket is gone. */
export class Monitor implements Pollable {
  readonly fd: number;
  hot = false;
  slot = -1;
  readonly stopped: Promise<void>;
  readonly #reactor: Reactor;
  readonly #handle: Pointer;
  readonly #handler: (event: MonitorEvent) => void;
  #stop: () => void = () => {};

  constructor(
    reactor: Reactor,
    socket: Pointer,
    events: readonly MonitorEventName[],
    handler: (event: MonitorEvent) => void,
  ) {
    const { native, context } = reactor;
    this.#reactor = reactor;
    this.#handler = handler;
    const endpoint = cString(reactor.nextMonitorEndpoint());
    this.#handle = native.zmq_socket(context, socketTypes.pair);
    if (!this.#handle) throw zmqError("opening a monitor", native.zmq_errno());
    // Without a limit: libzmq's thread would block on a full monitor, and with it every connection of the process.
    setOption(native, this.#handle, "receiveHwm", option.receiveHwm, new Int32Array([0]));
    setOption(native, this.#handle, "lingerMs", option.linger, new Int32Array([0]));
    if (
      native.zmq_socket_monitor(socket, endpoint, eventMask([...events, "stopped"])) !== 0 ||
      native.zmq_connect(this.#handle, endpoint) !== 0
    ) {
      const error = zmqError("monitoring a socket", native.zmq_errno());
      native.zmq_close(this.#handle);
      throw error;
    }
    const value = new Int32Array(1);
    native.zmq_getsockopt(this.#handle, option.fd, value, new BigUint64Array([4n]));
    this.fd = value[0] as number;
    this.stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
    reactor.add(this);
  }

  pump(): number {
    let result = 0;
    for (;;) {
      const frames = this.#receive();
      if (frames === undefined) return result;
      result = worked;
      const event = parseMonitorEvent(frames);
      if (event === undefined) continue;
      if (event.type === "stopped") {
        this.#reactor.remove(this);
        this.#reactor.native.zmq_close(this.#handle);
        this.#stop();
        return result;
      }
      try {
        this.#handler(event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  #receive(): Uint8Array[] | undefined {
    const { native, message } = this.#reactor;
    const frames: Uint8Array[] = [];
    do {
      const size = native.zmq_msg_recv(message, this.#handle, flag.dontWait);
      if (size < 0) return undefined;
      const copy = new Uint8Array(size);
      if (size > 0) native.memcpy(copy as unknown as Pointer, native.zmq_msg_data(message), size);
      frames.push(copy);
    } while (native.zmq_msg_more(message) !== 0);
    return frames;
  }
}
