import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLineWriter } from "./line-writer.ts";

const here = join(import.meta.dir, "line-writer.ts");

test("lines come out whole and in order", async () => {
  const folder = mkdtempSync(join(tmpdir(), "soorma-lines-"));
  const path = join(folder, "out");
  try {
    const writer = createLineWriter(openSync(path, "w"));
    const lines = Array.from({ length: 5_000 }, (_, n) => `${n} ${"ü".repeat(n % 50)}`);
    for (const line of lines) expect(writer.push(line)).toBe(true);
    await writer.flush();
    expect(readFileSync(path, "utf8")).toBe(`${lines.join("\n")}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a reader that stops keeps nobody: the thread goes on, what finds no room is dropped and counted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "soorma-lines-"));
  const wentOn = join(folder, "went-on");
  const script = `
    import { writeFileSync } from "node:fs";
    import { createLineWriter } from ${JSON.stringify(here)};
    const writer = createLineWriter(1, { mostBytes: 200_000 });
    let taken = 0;
    for (let n = 0; n < 20; n++) {
      for (let i = 0; i < 1_000; i++) if (writer.push("x".repeat(99))) taken++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const dropped = writer.takeDropped();
    process.stderr.write(JSON.stringify({ taken, dropped, again: writer.takeDropped() }));
    writeFileSync(${JSON.stringify(wentOn)}, "");
    await writer.flush();
  `;
  try {
    const reader = `"$0" -e "$1" | { until [ -e "$2" ]; do sleep 0.01; done; cat; }`;
    const child = Bun.spawn(["sh", "-c", reader, process.execPath, script, wentOn], { stdout: "pipe", stderr: "pipe" });
    const [out, told] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    const { taken, dropped, again } = JSON.parse(told);
    expect(taken + dropped).toBe(20_000);
    expect(dropped).toBeGreaterThan(10_000);
    expect(again).toBe(0);
    expect(out.split("\n")).toHaveLength(taken + 1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a reader that went away is told of", async () => {
  const script = `
    import { createLineWriter } from ${JSON.stringify(here)};
    const writer = createLineWriter(1);
    const timer = setInterval(() => writer.push("x".repeat(9_999)), 1);
    await writer.closed;
    clearInterval(timer);
    process.stderr.write("closed");
  `;
  const child = Bun.spawn(["sh", "-c", `"$0" -e "$1" | head -1`, process.execPath, script], {
    stdout: "pipe",
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toBe("closed");
  expect((await child.stdout.text()).length).toBe(10_000);
});

test.skipIf(!existsSync("/dev/full"))("a disk that takes no more is told of, and nothing is kept for it", async () => {
  const writer = createLineWriter(openSync("/dev/full", "w"));
  writer.push("a line");
  await expect(writer.closed).rejects.toMatchObject({
    code: "OUTPUT_UNWRITABLE",
    message: "the output cannot be written: the disk is full (ENOSPC)",
  });
  expect(writer.push("another")).toBe(false);
  await writer.flush();
});
