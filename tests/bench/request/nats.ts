// The same request with NATS request/reply. `bun nats.ts <answer|ask> <folder> <count> <port>`
import { connect } from "@nats-io/transport-node";
import { measure, payload, ready } from "./measure.ts";

const [role, , count, port] = process.argv.slice(2);
const connection = await connect({ servers: `127.0.0.1:${port}` });

if (role === "answer") {
  connection.subscribe("echo", {
    callback: (_error, message) => void message.respond(JSON.stringify(message.json())),
  });
  await connection.flush();
  ready();
} else {
  await measure(Number(count), async (n) =>
    (await connection.request("echo", JSON.stringify({ ...payload, n }), { timeout: 5_000 })).json(),
  );
  await connection.close();
}
