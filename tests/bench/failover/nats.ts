// NATS request/reply with a queue group, default settings. It tells nobody that a worker is gone.
import { connect } from "@nats-io/transport-node";
import { type Answer, answering, callTimeoutMs, experiment, given } from "./experiment.ts";

const options = given();
const connection = await connect({ servers: `127.0.0.1:${options.ports[0]}` });

if (options.role !== "ask") {
  connection.subscribe("echo", {
    queue: "echo",
    callback: (_error, message) => {
      const { n } = message.json<{ n: number }>();
      message.respond(JSON.stringify({ n, pid: process.pid }));
    },
  });
  await connection.flush();
  answering();
} else {
  const call = async (n: number): Promise<Answer> =>
    (await connection.request("echo", JSON.stringify({ n }), { timeout: callTimeoutMs })).json<Answer>();
  await experiment(options, call, undefined);
  await connection.close();
}
