import type { Network } from "./network.ts";
import type { RoleName, Slot } from "./processes.ts";
import type { Random } from "./random.ts";

export interface FaultsOptions {
  readonly random: Random;
  readonly slots: readonly Slot[];
  readonly network: Network | undefined;
  /** Milliseconds that faults go on. */
  readonly durationMs: number;
  /** For the person who watches. */
  say(line: string): void;
  /** Something that must not happen. */
  violated(what: string): void;
  /** For the audit: when the network was not what it should be. */
  onFault(who: string, what: string): void;
}

/** Milliseconds a process has to end after SIGTERM: an agent's time to drain, and then some on a loaded machine. */
export const terminateWithinMs = 25_000;

/** How often a role is chosen. */
const weights: Readonly<Record<RoleName, number>> = { worker: 8, planner: 6, client: 3, tool: 2, state: 3, broker: 2 };

type Fault = (slot: Slot, options: FaultsOptions) => Promise<string>;

const kill: Fault = async (slot, { random }) => {
  const awayMs = random.between(0, 1_500);
  await slot.kill();
  await Bun.sleep(awayMs);
  await slot.start();
  return `killed, back after ${awayMs} ms`;
};

/** Sometimes for longer than any lease. */
const stop: Fault = async (slot, { random }) => {
  const stoppedMs = random.chance(0.1) ? 12_000 : random.between(200, 4_000);
  slot.signal("SIGSTOP");
  await Bun.sleep(stoppedMs);
  slot.signal("SIGCONT");
  return `stopped for ${stoppedMs} ms`;
};

const restart: Fault = async (slot, { violated }) => {
  const code = await slot.terminate(terminateWithinMs);
  if (code !== 0) violated(`${slot.who} ended with ${code ?? "nothing but SIGKILL"} after SIGTERM`);
  await slot.start();
  return "restarted";
};

const faults: readonly (readonly [string, Fault, number])[] = [
  ["kill", kill, 5],
  ["stop", stop, 3],
  ["restart", restart, 2],
];

/** Does things to processes and the network, two at a time at most, until the time is over and all of it is mended. */
export async function causeFaults(options: FaultsOptions): Promise<number> {
  const { random, slots, network, durationMs, say, onFault } = options;
  const beganMs = performance.now();
  const under = new Set<Promise<void>>();
  let count = 0;
  while (performance.now() - beganMs < durationMs) {
    // Drawn in any case, so that one seed is one schedule.
    const [pauseMs, dice] = [random.between(200, 1_200), random.next()];
    const chosen = weighted(
      random,
      slots.map((slot) => [slot, weights[slot.role]] as const),
    );
    const [name, fault] = weighted(
      random,
      faults.map((one) => [one, one[2]] as const),
    );
    const own = random.fork(String(count));
    await Bun.sleep(pauseMs);
    if (under.size >= 2) await Promise.race(under);
    count++;
    if (network && dice < 0.15 && !networkBusy.has(network)) {
      track(disturb(network, own, say, onFault));
      continue;
    }
    if (chosen.busy || !chosen.ready) continue;
    chosen.busy = true;
    const run = async (): Promise<void> => {
      const at = ((performance.now() - beganMs) / 1_000).toFixed(1);
      say(`${at.padStart(7)} s  ${name} ${chosen.who}`);
      try {
        await fault(chosen, { ...options, random: own });
      } finally {
        chosen.busy = false;
      }
    };
    track(run());
  }
  await Promise.all(under);
  return count;

  function track(doing: Promise<void>): void {
    const tracked = doing.finally(() => under.delete(tracked));
    under.add(tracked);
  }
}

const networkBusy = new WeakSet<Network>();

async function disturb(
  network: Network,
  random: Random,
  say: FaultsOptions["say"],
  onFault: FaultsOptions["onFault"],
): Promise<void> {
  const what = network.slowing !== undefined && random.chance(0.4) ? "slow" : "cut";
  const forMs = random.between(300, 5_000);
  networkBusy.add(network);
  say(`           ${what} the network for ${forMs} ms`);
  onFault("network", what);
  try {
    if (what === "cut") network.cut();
    else network.slow();
    await Bun.sleep(forMs);
  } finally {
    network.heal();
    networkBusy.delete(network);
    onFault("network", "heal");
  }
}

function weighted<T>(random: Random, from: readonly (readonly [T, number])[]): T {
  let left = random.next() * from.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [one, weight] of from) {
    left -= weight;
    if (left < 0) return one;
  }
  return random.pick(from)[0];
}
