import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "./statistics.ts";
import type { Kind, StepFigures } from "./steps/measure.ts";
import { type PeerName, script, starts } from "./steps/peers.ts";
import type { BenchRow } from "./transport.ts";

const rounds = process.env.BENCH_PROFILE ? 1 : 3;
const names = ["soorma", "restate", "bullmq"] as const;
const kinds = ["tasks", "steps"] as const;

/** Plans to measure: what takes each peer some seconds. */
const sizes: Readonly<Record<PeerName, { plans: number; singles: number }>> = {
  soorma: { plans: 4_000, singles: 1_000 },
  restate: { plans: 400, singles: 200 },
  bullmq: { plans: 400, singles: 200 },
};

/**
 * Steps of plans that survive anything, through everything a user has between a goal and its answer, against Restate and
 * BullMQ on Redis: the same 100 bytes a step, each with its own durable settings, taking turns on the same machine.
 *
 * Two kinds. `tasks`: another process does each step; here planner → worker, there a service called by a handler, and a flow of
 * jobs. `steps`: one handler remembers each step; here `task.step`, there `ctx.run`, and a job that updates its data.
 */
export async function run(only: readonly string[] = []): Promise<BenchRow[]> {
  const home = mkdtempSync(join(tmpdir(), "bench-"));
  const chosen = <T extends string>(all: readonly T[]): T[] =>
    all.some((name) => only.includes(name)) ? all.filter((name) => only.includes(name)) : [...all];
  const [wanted, measured] = [chosen(names), chosen(kinds)];
  const figures = new Map<string, StepFigures[]>();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const kind of measured) {
        for (const name of wanted) {
          const found = await one(name, kind, join(home, `${name}-${kind}-${round}`));
          figures.set(`${name} ${kind}`, [...(figures.get(`${name} ${kind}`) ?? []), found]);
          console.error(`  ${name} ${kind}: ${describe(found)}`);
        }
      }
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  const middle = (name: string, kind: Kind, pick: (f: StepFigures) => number): number =>
    median((figures.get(`${name} ${kind}`) ?? []).map(pick));
  return measured.flatMap((kind) => {
    const rate = (of: string) => middle(of, kind, (f) => f.rate);
    const alone = (of: string) => middle(of, kind, (f) => f.medianMs);
    const what = kind === "tasks" ? "plan's tasks" : "steps in a handler";
    const long = (of: string) => middle(of, kind, (f) => f.longRate);
    const [many, three] = [`${what}, 50 in flight`, `three ${what}, one plan at a time`];
    const hundred = `${many}, a hundred in a plan`;
    return [
      limited(many, "steps/s", rate("soorma"), "at least 20,000", rate("soorma") >= 20_000),
      limited(hundred, "steps/s", long("soorma"), "at least 20,000", long("soorma") >= 20_000),
      limited(three, "ms", alone("soorma"), "under 2", alone("soorma") < 2),
      ...wanted
        .filter((name) => name !== "soorma")
        .flatMap((name): BenchRow[] => [
          row(`${many}, against ${name}`, "steps/s", rate("soorma"), rate(name), 10),
          row(`${hundred}, against ${name}`, "steps/s", long("soorma"), long(name), 10),
          row(`${three}, against ${name}`, "ms", alone("soorma"), alone(name), undefined),
        ]),
    ];
  });
}

async function one(name: PeerName, kind: Kind, folder: string): Promise<StepFigures> {
  mkdirSync(folder);
  await using peer = await starts[name](folder, kind);
  const { pids, ports } = peer;
  const ask = Bun.spawn(script(name, "ask", { folder, kind, pids, ports, ...sizes[name] }), {
    stdout: "pipe",
    stderr: "inherit",
  });
  const answer = await ask.stdout.text();
  if ((await ask.exited) !== 0) throw new Error(`${name} ${kind} ended with ${ask.exitCode}`);
  return JSON.parse(answer) as StepFigures;
}

function describe({ rate, longRate, medianMs, p95Ms, cpuUs }: StepFigures): string {
  const cpu = Object.entries(cpuUs).map(([process, us]) => `${process} ${us.toFixed(0)}`);
  const perSecond = (figure: number): string => Math.round(figure).toLocaleString("en");
  return `${perSecond(rate)} steps/s, ${perSecond(longRate)} in long plans; three steps ${medianMs.toFixed(2)} ms (95 %: ${p95Ms.toFixed(2)}); processor µs a step: ${cpu.join(", ")}`;
}

function limited(name: string, unit: string, ours: number, limit: string, holds: boolean): BenchRow {
  const none = { theirs: Number.NaN, ratio: Number.NaN, target: undefined };
  return { name, unit, ours, ...none, verdict: `${limit} ${unit}: ${holds ? "yes" : "NO"}` };
}

function row(name: string, unit: string, ours: number, theirs: number, target: number | undefined): BenchRow {
  return { name, unit, ours, theirs, ratio: unit === "ms" ? theirs / ours : ours / theirs, target };
}

if (import.meta.main) console.table(await run(process.argv.slice(2)));
