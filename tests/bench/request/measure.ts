/** What every peer sends and gets back: about 100 bytes. */
export const payload = { text: "x".repeat(80), n: 0 };

/** Tells the parent that requests are answered from now on. */
export function ready(): void {
  process.stdout.write("ready\n");
}

export interface Figures {
  /** Microseconds of one request after the other. */
  readonly medianUs: number;
  readonly p95Us: number;
  /** Requests a second with 50 in flight. */
  readonly rate: number;
}

/**
 * Measures one request after the other, then 50 at a time, and prints the figures as JSON.
 *
 * Warms up with twice as many: until then the engine's compiler threads share the two cores with what is measured.
 */
export async function measure(count: number, request: (n: number) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count * 2; n++) await request(n);
  const times = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    await request(n);
    times[n] = performance.now() - start;
  }
  times.sort();
  const at = (share: number): number => (times[Math.floor(count * share)] ?? 0) * 1_000;
  let left = count * 2;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) await request(left);
  };
  await Promise.all(Array.from({ length: 50 }, worker));
  const rate = (count * 2 * 1_000) / (performance.now() - start);
  const figures: Figures = { medianUs: at(0.5), p95Us: at(0.95), rate };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
