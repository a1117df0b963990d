import { expect, test } from "bun:test";
import { connectJsonRpc } from "./json-rpc.ts";

test("a request that nobody reads any more fails with why, when that is known", async () => {
  const child = Bun.spawn(["sh", "-c", "exec 0<&-; echo closed >&2; exec sleep 60"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const rpc = connectJsonRpc(child.stdin, child.stdout);
  for await (const _ of child.stderr) break;
  const asked = rpc.request("hello", null).then(
    () => "answered",
    (error: Error) => error.message,
  );
  child.kill("SIGKILL");
  await child.exited;
  rpc.close(new Error("it was killed"));
  expect(await asked).toBe("it was killed");
});
