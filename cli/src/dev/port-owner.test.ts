import { expect, test } from "bun:test";
import { join } from "node:path";

test.each(["with", "without"])("who has a port is told, %s ps", async (how) => {
  const path = how === "with" ? process.env.PATH : "/nowhere";
  const script = `
    import { checkPortFree } from ${JSON.stringify(join(import.meta.dir, "port-owner.ts"))};
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      checkPortFree(server.port);
    } catch ({ code, message }) {
      console.log(JSON.stringify({ code, message, port: server.port, pid: process.pid }));
    }
    server.stop(true);
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { env: { ...process.env, PATH: path }, stdout: "pipe" });
  const { code, message, port, pid } = JSON.parse(await child.stdout.text());
  expect(code).toBe("PORT_TAKEN");
  expect(message).toStartWith(`port ${port} is taken by process ${pid}`);
});
