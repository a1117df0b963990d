import { expect, test } from "bun:test";
import { mostGrowthBytes, reloadMany } from "./reloads.ts";

/** `RELOADS=1000 bun test tests/e2e/reloads.test.ts` is the long form. */
const count = Number(process.env.RELOADS ?? 15);

// What a process holds is read from /proc.
test.if(process.platform === "linux")(
  `${count} reloads leave no process, file descriptor, socket or memory behind`,
  async () => {
    const { before, after } = await reloadMany(count);
    expect(after.processes).toBeLessThanOrEqual(before.processes);
    expect(after.sockets).toBeLessThanOrEqual(before.sockets);
    for (const [name, files] of Object.entries(after.files))
      expect(files, `open files of ${name}`).toBeLessThanOrEqual(before.files[name] ?? 0);
    for (const [name, bytes] of Object.entries(after.memory))
      expect(bytes - (before.memory[name] ?? 0), `growth of ${name}`).toBeLessThan(mostGrowthBytes);
  },
  60_000 + count * 3_000,
);

test.if(process.platform === "linux")(
  "a process that stood by, and is not needed any more, leaves no socket behind",
  async () => {
    const { before, after } = await reloadMany(3, "packages");
    expect(after.sockets).toBe(before.sockets);
    expect(after.processes).toBe(before.processes);
  },
  60_000,
);
