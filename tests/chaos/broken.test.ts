import { expect, test } from "bun:test";
import { type ChaosOptions, type ChaosReport, runChaos } from "./run.ts";
import type { Break } from "./setting.ts";

const timeoutMs = 180_000;

/** Planners only are killed, stopped and restarted: the shortest way to each of the three. */
async function run(options: Partial<ChaosOptions> = {}): Promise<ChaosReport> {
  const lines: string[] = [];
  const report = await runChaos({
    seed: "broken",
    durationMs: 12_000,
    calmMs: 12_000,
    roles: ["planner"],
    say: (line) => void lines.push(line),
    ...options,
  });
  if (options.broken === undefined && report.violations.length > 0) console.log(lines.join("\n"));
  return report;
}

test(
  "with every guarantee in place planners are killed and stopped without harm",
  async () => {
    const report = await run();
    expect(report.violations).toEqual([]);
    expect(report.goals).toBeGreaterThan(20);
    expect(report.faults).toBeGreaterThan(5);
  },
  timeoutMs,
);

/** What is found, at the least, when a guarantee is taken away. */
const found: readonly (readonly [Break, string])[] = [
  // A planner that was stopped goes on with plans that others drive by now.
  ["version", "drivers"],
  // A result that was on its way to a planner that was killed is gone, and the work is done again.
  ["ack", "repetition"],
  // Nobody takes over what a planner that was killed had begun.
  ["lease", "answer"],
];

test.each(found)(
  "without the guarantee of the %s the run goes red",
  async (broken, rule) => {
    const { violations } = await run({ broken });
    expect([...new Set(violations.map((violation) => violation.rule))]).toContain(rule);
  },
  timeoutMs,
);
