import { join } from "node:path";
import type { BenchRow } from "./transport.ts";

const bin = join(import.meta.dir, "..", "..", "cli", "bin", "soorma.ts");

/** How long `soorma version` takes from a cold start, beside a Bun that does nothing. */
export async function run(runs = 15): Promise<BenchRow[]> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < runs; i++) {
    ours.push(await time([bin, "version"]));
    theirs.push(await time(["-e", "0"]));
  }
  const [a, b] = [median(ours), median(theirs)];
  return [
    { name: "soorma version, against bun -e 0", unit: "ms", ours: a, theirs: b, ratio: b / a, target: undefined },
  ];
}

async function time(argv: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const code = await Bun.spawn([process.execPath, ...argv], { stdout: "ignore", stderr: "inherit" }).exited;
  if (code !== 0) throw new Error(`bun ${argv.join(" ")} ended with ${code}`);
  return performance.now() - startMs;
}

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[values.length >> 1] ?? Number.NaN;
}

if (import.meta.main) console.table(await run());
