// Moleculer with default settings: on NATS when one port is given, else on TCP with gossip.
import { type BrokerOptions, ServiceBroker } from "moleculer";
import { type Answer, answering, callTimeoutMs, experiment, given } from "./experiment.ts";

const options = given();
const { role, ports } = options;
const names = ["one", "two", "ask"];
const transporter: NonNullable<BrokerOptions["transporter"]> =
  ports.length === 1
    ? { type: "NATS", options: { url: `nats://127.0.0.1:${ports[0]}` } }
    : {
        type: "TCP",
        options: {
          udpDiscovery: false,
          port: ports[names.indexOf(role)] ?? 0,
          urls: names.map((name, i) => `tcp://127.0.0.1:${ports[i]}/${name}`).join(","),
        },
      };
const broker = new ServiceBroker({ nodeID: role, logger: false, transporter });

if (role !== "ask") {
  broker.createService({
    name: "echo",
    actions: { echo: (context: { params: { n: number } }) => ({ n: context.params.n, pid: process.pid }) },
  });
  await broker.start();
  answering();
} else {
  const lost = Promise.withResolvers<void>();
  broker.localBus.on("$node.disconnected", () => lost.resolve());
  await broker.start();
  await broker.waitForServices("echo", 20_000);
  await experiment(
    options,
    (n) => broker.call<Answer, { n: number }>("echo.echo", { n }, { timeout: callTimeoutMs }),
    lost.promise,
  );
  await broker.stop();
  process.exit(0);
}
