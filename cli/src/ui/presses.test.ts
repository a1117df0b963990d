import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPresses } from "./presses.ts";

/** How many presses signals at these times are, in milliseconds. */
function pressesAt(times: readonly number[], mayComeTwice: boolean): number {
  let nowMs = 0;
  const isPress = createPresses({ nowMs: () => nowMs, mayComeTwice: () => mayComeTwice });
  return times.filter((time) => {
    nowMs = time;
    return isPress();
  }).length;
}

test("a press that comes twice is one, and two fast ones that come twice are two", () => {
  expect(pressesAt([0, 5], true)).toBe(1);
  expect(pressesAt([0, 29, 500, 529], true)).toBe(2);
  expect(pressesAt([0, 5, 30, 35], true)).toBe(2);
  // Of those of a second press only one arrived.
  expect(pressesAt([0, 5, 30], true)).toBe(2);
});

test("where none comes twice each signal is a press", () => {
  expect(pressesAt([0, 1, 2], false)).toBe(3);
});

test.if(Bun.which("expect") !== null)(
  "in a terminal two signals within a moment are one press to a process that a script runs, and two to one that leads",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "soorma-presses-"));
    try {
      const script = join(folder, "wrapped.ts");
      writeFileSync(
        script,
        `import { createPresses } from ${JSON.stringify(join(import.meta.dir, "presses.ts"))};
const isPress = createPresses({ nowMs: () => 0 });
console.log(isPress() && isPress() ? "two" : "one");`,
      );
      const seen = async (command: string): Promise<string> => {
        const child = Bun.spawn(["expect", "-c", `set timeout 10\nspawn -noecho sh -c {${command}}\nexpect eof`]);
        return (await child.stdout.text()).trim();
      };
      expect(await seen(`${process.execPath} ${script}; true`)).toBe("one");
      expect(await seen(`exec ${process.execPath} ${script}`)).toBe("two");
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test("a process that nobody passes signals on to takes two within a moment for two", async () => {
  const io = JSON.stringify(join(import.meta.dir, "io.ts"));
  const script = `
    import { createProcessIo } from ${io};
    const io = createProcessIo();
    const keep = setInterval(() => {}, 1000);
    io.onStopSignal((_signal, count) => {
      io.out(String(count));
      if (count === 2) process.exit(130);
    });
    io.out("ready");
  `;
  // A session of its own: no terminal, and nobody above it.
  const child = Bun.spawn([process.execPath, "-e", script], {
    detached: true,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  try {
    const decoder = new TextDecoder();
    let said = "";
    for await (const chunk of child.stdout) {
      said += decoder.decode(chunk, { stream: true });
      // At once after the first was counted: were they sent together, the system would make one of them.
      if (said === "ready\n" || said === "ready\n1\n") child.kill("SIGINT");
      // Taken for the same, it would never be counted.
      if (said === "ready\n1\n") setTimeout(() => child.kill("SIGKILL"), 10_000).unref();
    }
    expect([said, await child.exited]).toEqual(["ready\n1\n2\n", 130]);
  } finally {
    child.kill("SIGKILL");
  }
}, 20_000);
