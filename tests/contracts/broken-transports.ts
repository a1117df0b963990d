import { systemRuntime, type Transport, type TransportHandlers, type TransportOpenOptions } from "@soorma/core";
import { createHub, inproc } from "@soorma/transport-inproc";

const hub = createHub({ runtime: systemRuntime });

/** Transports that each break one promise, to show that the contract suite notices. All but that is inproc's. */
export const brokenTransports: Readonly<Record<string, () => Transport>> = {
  "breaks nothing": () => change(() => ({})),

  "drops every 100th frame": () =>
    changeReceiving(() => {
      let count = 0;
      return (deliver) => (++count % 100 === 0 ? undefined : deliver());
    }),

  "delivers every 100th frame twice": () =>
    changeReceiving(() => {
      let count = 0;
      return (deliver) => {
        if (++count % 100 === 0) void deliver();
        return deliver();
      };
    }),

  "delivers every 100th frame after the next one": () =>
    changeReceiving(() => {
      let count = 0;
      let held: Deliver | undefined;
      return (deliver) => {
        if (++count % 100 === 0) {
          held = deliver;
          return undefined;
        }
        const taken = deliver();
        const overtaken = held;
        held = undefined;
        return overtaken ? void Promise.all([taken, overtaken()]) : taken;
      };
    }),

  "says it has backpressure and has none": () =>
    change((inner) => ({
      publish(channel, frame) {
        Promise.resolve(inner.publish(channel, frame)).catch(() => {});
      },
    })),

  "does not wait for event handlers": () =>
    changeHandlers((handlers) => ({
      onEvent(frame) {
        Promise.resolve(handlers.onEvent(frame)).catch(() => {});
      },
    })),

  "says it has peer events and has none": () => changeHandlers(() => ({ onPeer() {} })),

  "never tells of subscribers": () => changeHandlers(() => ({ onSubscriber() {} })),

  "resolves join before the subscriptions are there": () =>
    change((inner) => ({
      join: (address, options) => orSoon(inner.join(address, options)),
    })),

  "resolves subscribe before the subscription is there": () =>
    change((inner) => ({
      subscribe: (prefix, options) => orSoon(inner.subscribe(prefix, options)),
    })),

  "ignores unsubscribe": () => change(() => ({ unsubscribe() {} })),

  "ignores leave": () => change(() => ({ leave() {} })),

  "ignores unlink": () => change(() => ({ unlink() {} })),

  "ignores abort signals": () =>
    change((inner) => ({
      join: (address) => inner.join(address),
      subscribe: (prefix) => inner.subscribe(prefix),
    })),

  "forgets to close": () => change(() => ({ async close() {}, async [Symbol.asyncDispose]() {} })),

  "closes without sending what it has": () => {
    let nodeId = "";
    const close = async (inner: Transport): Promise<void> => {
      if (nodeId) hub.crash(nodeId);
      await inner.close();
    };
    return change((inner) => ({
      open(options) {
        nodeId = options.nodeId;
        return inner.open(options);
      },
      close: () => close(inner),
      [Symbol.asyncDispose]: () => close(inner),
    }));
  },

  "ignores maxFrameBytes": () =>
    change((inner) => ({ open: (options) => inner.open({ ...options, maxFrameBytes: Number.MAX_SAFE_INTEGER }) })),

  "hands over the sender's buffer itself": () =>
    changeFrames(
      (frame) => {
        // Under four bytes there is no room for the number.
        if (frame.byteLength < 4) return frame;
        const carrier = new Uint8Array(frame.byteLength);
        new DataView(carrier.buffer).setUint32(0, lent.push(frame) - 1);
        return carrier;
      },
      (frame) => (frame.byteLength < 4 ? frame : (lent[new DataView(frame.buffer).getUint32(0)] ?? frame)),
    ),

  "sends the whole buffer of a view": () =>
    changeFrames(
      (frame) => new Uint8Array(frame.buffer),
      (frame) => frame,
    ),

  "delivers no empty frames": () =>
    changeReceiving(() => (deliver, frame) => (frame.byteLength === 0 ? undefined : deliver())),
};

/** Resolves before anything can have gone anywhere, but after what is refused at once was refused. */
function orSoon(promise: Promise<void>): Promise<void> {
  const soon = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
  };
  return Promise.race([promise, soon()]);
}

/** Frames handed over by reference. */
const lent: Uint8Array[] = [];

function change(changes: (inner: Transport) => Partial<Transport>): Transport {
  const inner = inproc(hub);
  return {
    supports: inner.supports,
    open: (options) => inner.open(options),
    nodeIdOf: (address) => inner.nodeIdOf(address),
    send: (to, frame) => inner.send(to, frame),
    link: (address) => inner.link(address),
    unlink: (address) => inner.unlink(address),
    publish: (channel, frame) => inner.publish(channel, frame),
    subscribe: (prefix, options) => inner.subscribe(prefix, options),
    unsubscribe: (prefix) => inner.unsubscribe(prefix),
    join: (address, options) => inner.join(address, options),
    leave: (address) => inner.leave(address),
    stats: () => inner.stats(),
    close: () => inner.close(),
    [Symbol.asyncDispose]: () => inner.close(),
    ...changes(inner),
  };
}

function changeHandlers(changes: (handlers: TransportHandlers) => Partial<TransportHandlers>): Transport {
  return change((inner) => ({ open: (options) => inner.open(withHandlers(options, changes(options.handlers))) }));
}

function withHandlers(options: TransportOpenOptions, changed: Partial<TransportHandlers>): TransportOpenOptions {
  const { handlers } = options;
  return {
    ...options,
    handlers: {
      onMessage: (frame, from) => handlers.onMessage(frame, from),
      onEvent: (frame) => handlers.onEvent(frame),
      onPeer: (peer) => handlers.onPeer(peer),
      onSubscriber: (nodeId) => handlers.onSubscriber(nodeId),
      ...changed,
    },
  };
}

type Deliver = () => void | Promise<void>;

/** Changes what comes in; `make` is called once for a transport's messages and once for its events. */
function changeReceiving(make: () => (deliver: Deliver, frame: Uint8Array) => void | Promise<void>): Transport {
  const [onMessage, onEvent] = [make(), make()];
  return changeHandlers((handlers) => ({
    onMessage(original, from) {
      const frame = new Uint8Array(original);
      void onMessage(() => handlers.onMessage(frame, from), frame);
    },
    onEvent(original) {
      const frame = new Uint8Array(original);
      return onEvent(() => handlers.onEvent(frame), frame);
    },
  }));
}

function changeFrames(out: (frame: Uint8Array) => Uint8Array, back: (frame: Uint8Array) => Uint8Array): Transport {
  return change((inner) => ({
    open: (options) =>
      inner.open(
        withHandlers(options, {
          onMessage: (frame, from) => options.handlers.onMessage(back(frame), from),
          onEvent: (frame) => options.handlers.onEvent(back(frame)),
        }),
      ),
    send: (to, frame) => inner.send(to, out(frame)),
    publish: (channel, frame) => inner.publish(channel, out(frame)),
  }));
}
