// The same request with Moleculer on its TCP transporter. `bun moleculer.ts <answer|ask> <folder> <count> <port>`
import { ServiceBroker } from "moleculer";
import { measure, payload, ready } from "./measure.ts";

const [role = "", , count, port] = process.argv.slice(2);
const ports = { answer: Number(port), ask: Number(port) + 1 };
const broker = new ServiceBroker({
  nodeID: role,
  logger: false,
  transporter: {
    type: "TCP",
    options: {
      udpDiscovery: false,
      port: role === "answer" ? ports.answer : ports.ask,
      urls: `tcp://127.0.0.1:${ports.answer}/answer,tcp://127.0.0.1:${ports.ask}/ask`,
    },
  },
});

if (role === "answer") {
  broker.createService({
    name: "echo",
    actions: {
      echo: {
        params: { text: "string", n: "number" },
        handler: (context: { params: unknown }) => context.params,
      },
    },
  });
  await broker.start();
  ready();
} else {
  await broker.start();
  await broker.waitForServices("echo", 20_000);
  await measure(Number(count), (n) => broker.call("echo.echo", { ...payload, n }));
  await broker.stop();
  process.exit(0);
}
