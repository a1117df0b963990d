import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const source = (from: string): string => `
import { createSocket } from ${JSON.stringify(from)};
const pull = createSocket("pull");
const push = createSocket("push");
push.connect(await pull.bind("tcp://127.0.0.1:0"));
await push.send("from a bundle");
console.log(new TextDecoder().decode((await pull.receive())[0]));
await Promise.all([pull.close(), push.close()]);
`;

test.each([["as it is"], ["minified"]])("the sockets and their thread work in a bundle, %s", async (how) => {
  const folder = mkdtempSync(join(tmpdir(), "zmq-bundle-"));
  try {
    writeFileSync(join(folder, "main.ts"), source(join(import.meta.dir, "sockets.ts")));
    // The native half stays a package: a bundle carries no binary.
    symlinkSync(join(import.meta.dir, "..", "node_modules"), join(folder, "node_modules"));
    const built = await Bun.build({
      entrypoints: [join(folder, "main.ts")],
      outdir: join(folder, "out"),
      target: "bun",
      minify: how === "minified",
    });
    expect(built.outputs.map(({ kind }) => kind)).toEqual(["entry-point"]);
    const child = Bun.spawn([process.execPath, join(folder, "out", "main.js")], { stdout: "pipe", stderr: "inherit" });
    expect(await new Response(child.stdout).text()).toBe("from a bundle\n");
    expect(await child.exited).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
