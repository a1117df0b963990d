// One side of the transport bench in a process of its own, on this repository's sockets. See transport.ts for the roles.
import { createSocket } from "@soorma/transport-zeromq/sockets";

const [role, endpoint = "", bytesText, countText, warmUpText, hwmText] = process.argv.slice(2);
const [bytes, count, warmUp, hwm] = [bytesText, countText, warmUpText, hwmText].map(Number) as [
  number,
  number,
  number,
  number,
];
const options = { sendHwm: hwm, receiveHwm: hwm, lingerMs: 5000 };
const frame = new Uint8Array(bytes).fill(97);
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

if (role === "receive") {
  const router = createSocket("router", options);
  let received = 0;
  let startMs = 0;
  router.onMessage((frames) => {
    if (frames[1]?.byteLength !== bytes) throw new Error("a frame of another size came");
    if (++received === warmUp) startMs = performance.now();
    if (received < warmUp + count) return;
    answer({ perSecond: (count / (performance.now() - startMs)) * 1000 });
    void router.send(["sender", "done"]);
    void router.close();
  });
  answer(await router.bind(endpoint));
} else if (role === "send") {
  const dealer = createSocket("dealer", { ...options, routingId: "sender" });
  dealer.connect(endpoint);
  for (let i = 0; i < count + warmUp; i++) {
    const waiting = dealer.send(frame);
    if (waiting !== undefined) await waiting;
  }
  await dealer.receive();
  await dealer.close();
} else if (role === "echo") {
  const router = createSocket("router", options);
  let received = 0;
  router.onMessage(([id, body]) => {
    if (id === undefined || body === undefined) return;
    void router.send([id, body]);
    if (++received === count + warmUp) void router.close();
  });
  answer(await router.bind(endpoint));
} else {
  const dealer = createSocket("dealer", options);
  dealer.connect(endpoint);
  const times: number[] = [];
  let startMs = 0;
  dealer.onMessage(() => {
    times.push(performance.now() - startMs);
    if (times.length < count + warmUp) {
      startMs = performance.now();
      void dealer.send(frame);
      return;
    }
    times.splice(0, warmUp);
    times.sort((a, b) => a - b);
    answer({ medianUs: (times[times.length >> 1] ?? 0) * 1000 });
    void dealer.close();
  });
  startMs = performance.now();
  void dealer.send(frame);
}
