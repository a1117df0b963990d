/**
 * The same roles as in transport-peer.ts for Node and the official package `zeromq`; run with `node -e`, because Node 20
 * reads no TypeScript and Bun cannot run that package. The first argument is where to resolve `zeromq` from.
 */
export const nodePeer = `
const [from, role, endpoint, ...numbers] = process.argv.slice(1);
const { Dealer, Router } = require("node:module").createRequire(from)("zeromq");
const [bytes, count, warmUp, hwm] = numbers.map(Number);
const options = { sendHighWaterMark: hwm, receiveHighWaterMark: hwm, linger: 5000 };
const frame = Buffer.alloc(bytes, 97);
const answer = (value) => process.stdout.write(JSON.stringify(value) + "\\n");

async function main() {
  if (role === "receive") {
    const router = new Router(options);
    await router.bind(endpoint);
    answer(router.lastEndpoint);
    let received = 0;
    let startMs = 0;
    for await (const [, body] of router) {
      if (body.length !== bytes) throw new Error("a frame of another size came");
      if (++received === warmUp) startMs = performance.now();
      if (received < warmUp + count) continue;
      answer({ perSecond: (count / (performance.now() - startMs)) * 1000 });
      await router.send(["sender", "done"]);
      break;
    }
    router.close();
  } else if (role === "send") {
    const dealer = new Dealer({ ...options, routingId: "sender" });
    dealer.connect(endpoint);
    for (let i = 0; i < count + warmUp; i++) await dealer.send(frame);
    await dealer.receive();
    dealer.close();
  } else if (role === "echo") {
    const router = new Router(options);
    await router.bind(endpoint);
    answer(router.lastEndpoint);
    let received = 0;
    for await (const [id, body] of router) {
      await router.send([id, body]);
      if (++received === count + warmUp) break;
    }
    router.close();
  } else {
    const dealer = new Dealer(options);
    dealer.connect(endpoint);
    const times = [];
    for (let i = 0; i < count + warmUp; i++) {
      const startMs = performance.now();
      await dealer.send(frame);
      await dealer.receive();
      times.push(performance.now() - startMs);
    }
    times.splice(0, warmUp);
    times.sort((a, b) => a - b);
    answer({ medianUs: times[times.length >> 1] * 1000 });
    dealer.close();
  }
}
main().catch((error) => { console.error(error); process.exit(1); });
`;
