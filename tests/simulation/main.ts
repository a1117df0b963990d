/**
 * The whole mesh in one process, from seeds, with virtual time and everything that can go wrong.
 *
 * Usage: bun run simulate [--seeds N] [--from S] [--jobs N]    many seeds, from S (1) on
 *        bun run simulate --seed S [--trace]                   one of them, exactly as it was, with all that happened
 */
import { parseArgs } from "node:util";
import { type Outcome, simulate } from "./run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    jobs: { type: "string", default: "2" },
    /** Of a job: which of the seeds are its own. */
    every: { type: "string" },
  },
});

/** What one job did. */
interface Report {
  seeds: number;
  failed: number;
  steps: number;
  slowestMs: number;
  longestMs: number;
}

if (values.seed !== undefined) await runOne(whole("seed", values.seed));
else if (values.every !== undefined) await runJob(whole("every", values.every));
else await runAll();

async function runOne(seed: number): Promise<void> {
  const outcome = await simulate({ seed, ...(values.trace ? { trace: (line: string) => console.log(line) } : {}) });
  console.log(describe(outcome));
  process.exit(outcome.violations.length > 0 ? 1 : 0);
}

/** Every `stride`th seed from the first on, in this process. The last line is the report. */
async function runJob(stride: number): Promise<void> {
  const first = whole("from", values.from);
  const last = whole("seeds", values.seeds);
  const report: Report = { seeds: 0, failed: 0, steps: 0, slowestMs: 0, longestMs: 0 };
  for (let seed = first; seed <= last; seed += stride) {
    const startMs = performance.now();
    const outcome = await simulate({ seed });
    report.seeds++;
    report.steps += outcome.steps;
    report.slowestMs = Math.max(report.slowestMs, performance.now() - startMs);
    report.longestMs = Math.max(report.longestMs, outcome.convergedMs);
    if (outcome.violations.length === 0) continue;
    report.failed++;
    console.log(describe(outcome));
  }
  console.log(JSON.stringify(report));
}

async function runAll(): Promise<void> {
  const startMs = performance.now();
  const [seeds, from, jobs] = [
    whole("seeds", values.seeds),
    whole("from", values.from),
    whole("jobs", values.jobs),
  ] as const;
  const reports = await Promise.all(
    Array.from({ length: jobs }, (_, job) => spawnJob(from + job, from + seeds - 1, jobs)),
  );
  const total = (of: "seeds" | "failed" | "steps"): number => reports.reduce((sum, report) => sum + report[of], 0);
  const most = (of: "slowestMs" | "longestMs"): number => Math.max(...reports.map((report) => report[of]));
  const seconds = (performance.now() - startMs) / 1000;
  console.log(
    `${total("seeds")} seeds, ${total("failed")} failed; ${total("steps").toLocaleString("en")} steps in ${seconds.toFixed(1)} s, ` +
      `${((seconds * 1000 * jobs) / Math.max(1, total("seeds"))).toFixed(1)} ms a seed (slowest ${most("slowestMs").toFixed(0)} ms); ` +
      `longest from the last fault to the last answer ${(most("longestMs") / 1000).toFixed(1)} virtual s`,
  );
  process.exit(total("failed") > 0 || total("seeds") < seeds ? 1 : 0);
}

/** A job in a process of its own: one seed after the other keeps one processor busy. */
async function spawnJob(first: number, last: number, stride: number): Promise<Report> {
  const job = Bun.spawn(
    [process.execPath, import.meta.path, "--every", `${stride}`, "--from", `${first}`, "--seeds", `${last}`],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  let line = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of job.stdout) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const next of lines) {
      if (line !== "") console.log(line);
      line = next;
    }
  }
  if ((await job.exited) !== 0) {
    console.log(line);
    return { seeds: 0, failed: 1, steps: 0, slowestMs: 0, longestMs: 0 };
  }
  return JSON.parse(line) as Report;
}

function describe({ seed, violations, hash, steps, virtualMs, convergedMs, goals }: Outcome): string {
  const facts = `${goals} goals, ${steps} steps, ${(virtualMs / 1000).toFixed(1)} virtual s, ${(convergedMs / 1000).toFixed(1)} s to converge, trace ${hash}`;
  if (violations.length === 0) return `seed ${seed}: held (${facts})`;
  return [
    `seed ${seed}: ${violations.length} violated (${facts})`,
    ...violations.slice(0, 10).map((violation) => `  ${violation}`),
    `  again: bun run simulate --seed ${seed} --trace`,
  ].join("\n");
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} is a whole number, not "${text}"`);
  return value;
}
