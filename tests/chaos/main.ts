/**
 * Kills, stops and restarts the processes of a mesh at random, cuts the network between them, and looks whether every
 * guarantee held. Usage: `bun run chaos [--seed S] [--minutes M | --short] [--break version|ack|lease] [--no-network]`
 */
import { parseArgs } from "node:util";
import { makeNetwork, type Network, openNetwork, removeNetwork } from "./network.ts";
import { runChaos } from "./run.ts";
import { breaks } from "./setting.ts";

/** Seconds of faults in the short form; with start, calm and audit it takes less than three minutes. */
const shortSeconds = 75;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    minutes: { type: "string" },
    short: { type: "boolean" },
    break: { type: "string" },
    "no-network": { type: "boolean" },
    // Of the process that this one starts on the host `home`.
    inside: { type: "string" },
    slowing: { type: "string" },
  },
});
const broken = breaks.find((name) => name === values.break);
const minutes = Number(values.minutes ?? 30);
if ((values.break !== undefined && broken === undefined) || !(minutes > 0) || (values.short && values.minutes)) {
  console.error("usage: bun run chaos [--seed S] [--minutes M | --short] [--break version|ack|lease] [--no-network]");
  process.exit(2);
}
const seed = values.seed ?? Math.random().toString(36).slice(2, 8);
if (values.inside !== undefined) {
  const slowing = (["netem", "tbf"] as const).find((way) => way === values.slowing);
  process.exitCode = await run(openNetwork(Number(values.inside), slowing));
} else if (values["no-network"]) {
  process.exitCode = await run(undefined);
} else {
  process.exitCode = await runOnTwoHosts();
}

/** In a process of its own, since a process cannot move to another network. */
async function runOnTwoHosts(): Promise<number> {
  const made = makeNetwork(process.pid);
  if ("reason" in made) {
    console.log(`(1 skipped: the network between two hosts, which cannot be made here: ${made.reason})`);
    return await run(undefined);
  }
  try {
    if (made.slowing !== "netem")
      console.log("(1 skipped: delays of the network; this kernel has no netem, so bandwidth is taken away instead)");
    const { hosts } = openNetwork(process.pid, made.slowing);
    const again = [process.execPath, import.meta.path, ...process.argv.slice(2), "--seed", seed];
    const inside = ["--inside", String(process.pid), "--slowing", made.slowing ?? "none"];
    const child = Bun.spawn(["ip", "netns", "exec", hosts.home.namespace, ...again, ...inside], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    // The child ends what it started; this process stays for the network.
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
    return await child.exited;
  } finally {
    removeNetwork(process.pid);
  }
}

async function run(network: Network | undefined): Promise<number> {
  const form = values.short ? `--short` : `--minutes ${minutes}`;
  const rest = `${broken ? ` --break ${broken}` : ""}${network ? "" : " --no-network"}`;
  console.log(`chaos: bun run chaos --seed ${seed} ${form}${rest}`);
  const report = await runChaos({
    seed,
    durationMs: values.short ? shortSeconds * 1_000 : minutes * 60_000,
    calmMs: values.short ? 45_000 : 120_000,
    // The logs of all plans are kept for the audit, so the long form goes slower.
    restMs: values.short ? 50 : 500,
    ...(broken ? { broken } : {}),
    ...(network ? { network } : {}),
    say: (line) => console.log(line),
  });
  const { goals, outcomes, faults, attempts, effects, entries, violations, folder } = report;
  const ended = Object.entries(outcomes).map(([status, count]) => `${count} ${status}`);
  console.log(
    `${goals} goals (${ended.join(", ")}), ${attempts} attempts, ${effects} side effects, ${entries} log entries, ${faults} faults`,
  );
  console.log(violations.length === 0 ? "every guarantee held" : `${violations.length} violations; see ${folder}`);
  return violations.length === 0 ? 0 : 1;
}
