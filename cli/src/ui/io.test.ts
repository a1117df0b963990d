import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";

const full = "/dev/full";
const here = join(import.meta.dir, "io.ts");
const bin = join(import.meta.dir, "../../bin/soorma.ts");

test.skipIf(!existsSync(full))("a full disk that stderr goes to ends nothing", async () => {
  const script = `
    import { createProcessIo } from ${JSON.stringify(here)};
    using io = createProcessIo();
    io.err("a line");
    io.errRaw("a text");
    io.out("went on");
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: Bun.file(full) });
  expect(await child.stdout.text()).toBe("went on\n");
  expect(await child.exited).toBe(0);
});

test.skipIf(!existsSync(full)).each(["version", "plugin list"])(
  "an answer that a full disk does not take is an error, and no bug: %s",
  async (command) => {
    const child = Bun.spawn([process.execPath, bin, ...command.split(" ")], {
      env: { ...process.env, NO_COLOR: "1" },
      stdout: Bun.file(full),
      stderr: "pipe",
    });
    expect(await child.stderr.text()).toBe(
      "error: stdout cannot be written: the disk is full (ENOSPC) [OUTPUT_UNWRITABLE]\nhint: make room, or send the output elsewhere, then run it again\n",
    );
    expect(await child.exited).toBe(1);
  },
);
