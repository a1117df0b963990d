/** What a process of the experiment is told: `bun <peer>.ts <one|two|ask> <folder> <ports> [<pid> <signal> <seconds>]`. */
export interface Given {
  /** `one` and `two` answer. */
  readonly role: "one" | "two" | "ask";
  /** Of Soorma's broker. */
  readonly folder: string;
  /** Where NATS listens; without NATS those of one, two and ask. */
  readonly ports: readonly number[];
  readonly pid: number;
  readonly signal: NodeJS.Signals;
  readonly seconds: number;
}

export function given(): Given {
  const [role, folder = "", ports = "", pid, signal, seconds] = process.argv.slice(2);
  return {
    role: role as Given["role"],
    folder,
    ports: ports.split(",").map(Number),
    pid: Number(pid),
    signal: signal as NodeJS.Signals,
    seconds: Number(seconds),
  };
}

export interface Answer {
  readonly n: number;
  readonly pid: number;
}

export interface FailoverFigures {
  /** Calls after the signal that had all their time before a stopped worker was continued. */
  readonly calls: number;
  readonly failed: number;
  /**
   * Milliseconds until the client knew that the worker is out, as its library tells it; without a library that tells:
   * until the last call that failed was made. `null`: still not at the end.
   */
  readonly noticedMs: number | null;
  readonly slowestMs: number;
  /** Calls answered with somebody else's answer, or by the stopped worker although another had answered. */
  readonly wrong: number;
  /** After the stopped worker was continued. */
  readonly failedLater: number;
  /** The worker continued answers again. */
  readonly returned: boolean;
}

/** The timeout of a call, milliseconds. */
export const callTimeoutMs = 2_000;
const everyMs = 5;

/** Tells the parent that this process answers. */
export function answering(): void {
  process.stdout.write(`${process.pid}\n`);
}

/**
 * 200 calls a second through the whole of it: warm up, signal the worker, go on for `seconds`, continue a stopped worker, and
 * go on until it answers again (5 s at most). Prints the figures as JSON.
 *
 * @param lost - Resolves when the library says that the worker is gone; `undefined` if it never tells.
 */
export async function experiment(
  { pid, signal, seconds }: Given,
  call: (n: number) => Promise<Answer>,
  lost: Promise<void> | undefined,
): Promise<void> {
  const seen = new Set<number>();
  while (seen.size < 2) seen.add((await call(0)).pid);

  const calls: { startMs: number; endMs: number; ok: boolean }[] = [];
  const settled: Promise<void>[] = [];
  let wrong = 0;
  let lastFromVictimMs = 0;
  const ask = async (n: number): Promise<void> => {
    const one = { startMs: performance.now(), endMs: 0, ok: false };
    calls.push(one);
    try {
      const answer = await call(n);
      one.ok = true;
      if (answer.n !== n) wrong++;
      if (answer.pid === pid) lastFromVictimMs = performance.now();
    } catch {
      one.ok = false;
    }
    one.endMs = performance.now();
  };
  const beginMs = performance.now();
  const load = setInterval(() => {
    while (calls.length * everyMs < performance.now() - beginMs) settled.push(ask(calls.length + 1));
  }, everyMs);

  await Bun.sleep(1_500);
  const signalMs = performance.now();
  let toldMs: number | undefined;
  void lost?.then(() => {
    toldMs ??= performance.now();
  });
  process.kill(pid, signal);
  await Bun.sleep(seconds * 1_000);
  const stopMs = performance.now();
  let returned = false;
  if (signal === "SIGSTOP") {
    process.kill(pid, "SIGCONT");
    while (!returned && performance.now() < stopMs + 5_000) {
      await Bun.sleep(50);
      returned = lastFromVictimMs > stopMs;
    }
  }
  clearInterval(load);
  await Promise.all(settled);

  // Calls whose whole time was over before a stopped worker was continued, and answered after all.
  const during = calls.filter(({ startMs, endMs }) => endMs >= signalMs && startMs < stopMs - callTimeoutMs);
  const failed = during.filter(({ ok }) => !ok);
  const lastFailedMs = failed.at(-1)?.startMs;
  const byFailures =
    lastFailedMs === undefined ? 0 : stopMs - lastFailedMs < callTimeoutMs * 1.5 ? null : lastFailedMs - signalMs;
  const figures: FailoverFigures = {
    calls: during.length,
    failed: failed.length,
    noticedMs: lost === undefined ? byFailures : toldMs === undefined || toldMs > stopMs ? null : toldMs - signalMs,
    slowestMs: Math.max(...during.map(({ startMs, endMs }) => endMs - startMs)),
    wrong,
    failedLater: calls.filter(({ startMs, ok }) => startMs >= stopMs && !ok).length,
    returned,
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
