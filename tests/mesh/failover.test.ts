import { expect, test } from "bun:test";
import { runSoorma } from "../bench/failover.ts";

const timeoutMs = 60_000;

test(
  "one of two workers killed under 200 calls a second: not one call fails",
  async () => {
    const figures = await runSoorma("SIGKILL", 4);
    expect(figures.calls).toBeGreaterThan(100);
    expect(figures).toMatchObject({ failed: 0, wrong: 0, noticedMs: expect.any(Number) });
  },
  timeoutMs,
);

test(
  "one of two workers stopped under 200 calls a second: not one call fails, and continued it changes nothing and is used again",
  async () => {
    const figures = await runSoorma("SIGSTOP", 5);
    expect(figures.calls).toBeGreaterThan(100);
    expect(figures).toMatchObject({
      failed: 0,
      wrong: 0,
      noticedMs: expect.any(Number),
      failedLater: 0,
      returned: true,
    });
  },
  timeoutMs,
);
