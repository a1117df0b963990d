/**
 * Two hosts on this machine: network namespaces `home` and `away` with a cable (veth) between them that can be cut and
 * slowed down.
 */
export interface Network {
  readonly hosts: Readonly<Record<HostName, { readonly namespace: string; readonly address: string }>>;
  /** How `slow` is done: the kernel may lack delays and then gets little bandwidth with a long queue. */
  readonly slowing: "netem" | "tbf" | undefined;
  cut(): void;
  heal(): void;
  slow(): void;
}

export const hostNames = ["home", "away"] as const;
export type HostName = (typeof hostNames)[number];

// Nobody else sees these: they exist in the two namespaces only.
const address = { home: "10.213.7.1", away: "10.213.7.2" };
const cable = (host: HostName): string => `veth-${host}`;

/** Makes the hosts, named after `id`, and says how the network between them can be slowed down; or why it cannot be made. */
export function makeNetwork(id: number): { readonly slowing: Network["slowing"] } | { readonly reason: string } {
  const namespace = namespaceOf(id);
  const steps: string[][] = [
    ...hostNames.map((host) => ["netns", "add", namespace(host)]),
    ["-n", namespace("home"), "link", "add", cable("home"), "type", "veth", "peer", "name", cable("away")],
    ["-n", namespace("home"), "link", "set", cable("away"), "netns", namespace("away")],
    ...hostNames.flatMap((host) => [
      ["-n", namespace(host), "addr", "add", `${address[host]}/30`, "dev", cable(host)],
      ["-n", namespace(host), "link", "set", cable(host), "up"],
      ["-n", namespace(host), "link", "set", "lo", "up"],
    ]),
  ];
  for (const step of steps) {
    const failure = ip(...step);
    if (failure === undefined) continue;
    removeNetwork(id);
    return { reason: `\`ip ${step.join(" ")}\`: ${failure}` };
  }
  const network = openNetwork(id, undefined);
  const possible = (["netem", "tbf"] as const).find((way) => {
    const failure = shape(id, "add", way);
    network.heal();
    return failure === undefined;
  });
  return { slowing: possible };
}

export function removeNetwork(id: number): void {
  for (const host of hostNames) ip("netns", "del", namespaceOf(id)(host));
}

/** The hosts that were made for `id`. */
export function openNetwork(id: number, slowing: Network["slowing"]): Network {
  const namespace = namespaceOf(id);
  return {
    hosts: {
      home: { namespace: namespace("home"), address: address.home },
      away: { namespace: namespace("away"), address: address.away },
    },
    slowing,
    cut() {
      for (const [host, other] of [
        ["home", "away"],
        ["away", "home"],
      ] as const) {
        // Sent to hardware that is not there: frames vanish, and neither side is told anything.
        const nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", cable(host)];
        must(ip("-n", namespace(host), "neigh", "replace", address[other], ...nobody));
      }
    },
    heal() {
      for (const [host, other] of [
        ["home", "away"],
        ["away", "home"],
      ] as const) {
        ip("-n", namespace(host), "neigh", "del", address[other], "dev", cable(host));
      }
      shape(id, "del");
    },
    slow() {
      if (slowing) must(shape(id, "add", slowing));
    },
  };
}

function namespaceOf(id: number): (host: HostName) => string {
  return (host) => `soorma-${id}-${host}`;
}

const ways = {
  netem: ["netem", "delay", "150ms", "50ms"],
  tbf: ["tbf", "rate", "512kbit", "burst", "4kb", "latency", "2s"],
};

function shape(id: number, verb: "add" | "del", way?: keyof typeof ways): string | undefined {
  for (const host of hostNames) {
    const where = ["-n", namespaceOf(id)(host), "qdisc", verb, "dev", cable(host), "root"];
    const failure = command("tc", ...where, ...(way === undefined ? [] : ways[way]));
    if (failure !== undefined) return failure;
  }
  return undefined;
}

function ip(...args: string[]): string | undefined {
  return command("ip", ...args);
}

/** Why it failed. */
function command(...argv: string[]): string | undefined {
  try {
    const { success, stderr, exitCode } = Bun.spawnSync(argv, { stdout: "ignore", stderr: "pipe" });
    return success ? undefined : stderr.toString().trim() || `ended with ${exitCode}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function must(failure: string | undefined): void {
  if (failure !== undefined) throw new Error(`the network between the hosts cannot be changed: ${failure}`);
}
