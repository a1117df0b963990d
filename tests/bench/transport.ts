import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "./statistics.ts";
import { nodePeer } from "./transport-node.ts";

/** One line of the bench: our figure, the other one's, and their ratio, each the median of the runs. */
export interface BenchRow {
  readonly name: string;
  readonly unit: string;
  readonly ours: number;
  readonly theirs: number;
  /** How many times better ours is: of rates ours/theirs, of times theirs/ours. */
  readonly ratio: number;
  /** The ratio asked for; `undefined` when none is. */
  readonly target: number | undefined;
  /** Stands instead of the target, where what is asked for is no ratio. */
  readonly verdict?: string;
}

interface Case {
  readonly name: string;
  readonly unit: "messages/s" | "µs";
  readonly roles: readonly [listener: string, starter: string];
  readonly protocol: "tcp" | "ipc";
  readonly bytes: number;
  /** Messages or round trips: enough for about a second each. */
  readonly ours: number;
  readonly theirs: number;
  readonly target: number | undefined;
}

const cases: readonly Case[] = [
  {
    name: "transport, one way, 100 B, tcp",
    unit: "messages/s",
    roles: ["receive", "send"],
    protocol: "tcp",
    bytes: 100,
    ours: 2_000_000,
    theirs: 200_000,
    target: 8,
  },
  {
    name: "transport, one way, 10 KiB, tcp",
    unit: "messages/s",
    roles: ["receive", "send"],
    protocol: "tcp",
    bytes: 10_240,
    ours: 150_000,
    theirs: 75_000,
    target: undefined,
  },
  {
    name: "transport, round trip, 100 B, tcp",
    unit: "µs",
    roles: ["echo", "ping"],
    protocol: "tcp",
    bytes: 100,
    ours: 15_000,
    theirs: 7_500,
    target: 2,
  },
  {
    name: "transport, round trip, 10 KiB, tcp",
    unit: "µs",
    roles: ["echo", "ping"],
    protocol: "tcp",
    bytes: 10_240,
    ours: 12_000,
    theirs: 6_000,
    target: undefined,
  },
  {
    name: "transport, one way, 100 B, ipc",
    unit: "messages/s",
    roles: ["receive", "send"],
    protocol: "ipc",
    bytes: 100,
    ours: 2_000_000,
    theirs: 200_000,
    target: 8,
  },
  {
    name: "transport, round trip, 100 B, ipc",
    unit: "µs",
    roles: ["echo", "ping"],
    protocol: "ipc",
    bytes: 100,
    ours: 15_000,
    theirs: 7_500,
    target: 2,
  },
];

/**
 * Messages queued on each side, for both: enough that a sender is not measured by how often it is woken. (With libzmq's
 * default of 1000 the one-way rate of ours is about 1.7 million/s; the other's hardly depends on it.)
 */
const highWaterMark = 10_000;
const ourPeer = fileURLToPath(new URL("./transport-peer.ts", import.meta.url));
const plugin = Bun.resolveSync("@soorma/transport-zeromq", import.meta.dir);

/**
 * DEALER to ROUTER between two processes of one machine: our sockets under Bun against the package `zeromq` under Node.
 *
 * @param runs - Runs of each; they take turns, so that a busy moment of the machine meets both.
 */
export async function run(runs = 5): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "zmq-bench-"));
  try {
    const rows: BenchRow[] = [];
    for (const one of cases) {
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let i = 0; i < runs; i++) {
        ours.push(await measure(one, "ours", join(folder, `${rows.length}o${i}`)));
        theirs.push(await measure(one, "theirs", join(folder, `${rows.length}t${i}`)));
      }
      const [a, b] = [median(ours), median(theirs)];
      const ratio = one.unit === "µs" ? b / a : a / b;
      rows.push({ name: one.name, unit: one.unit, ours: a, theirs: b, ratio, target: one.target });
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  { roles, protocol, bytes, ...one }: Case,
  side: "ours" | "theirs",
  path: string,
): Promise<number> {
  const count = one[side];
  const start = (role: string, endpoint: string) => {
    const numbers = [bytes, count, Math.ceil(count / 10), highWaterMark].map(String);
    const command =
      side === "ours"
        ? [process.execPath, ourPeer, role, endpoint, ...numbers]
        : ["node", "-e", nodePeer, plugin, role, endpoint, ...numbers];
    return Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  };
  const listener = start(roles[0], protocol === "ipc" ? `ipc://${path}` : "tcp://127.0.0.1:*");
  const lines = linesOf(listener.stdout);
  const endpoint = JSON.parse(await next(lines)) as string;
  const starter = start(roles[1], endpoint);
  const figures = JSON.parse(await next(one.unit === "µs" ? linesOf(starter.stdout) : lines)) as {
    perSecond?: number;
    medianUs?: number;
  };
  const codes = await Promise.all([listener.exited, starter.exited]);
  if (codes.some((code) => code !== 0)) throw new Error(`${one.name}: a process ended with ${codes.join(", ")}`);
  return figures.perSecond ?? figures.medianUs ?? Number.NaN;
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    yield* lines;
  }
  return undefined;
}

async function next(lines: AsyncGenerator<string, undefined>): Promise<string> {
  const { value } = await lines.next();
  if (value === undefined) throw new Error("a process of the bench ended without its figure");
  return value;
}

/** The rows as text. */
export function format(rows: readonly BenchRow[]): string {
  const show = (value: number, unit: string): string =>
    unit === "µs" ? `${value.toFixed(1)} µs` : `${Math.round(value).toLocaleString("en")}/s`;
  return rows
    .map(({ name, unit, ours, theirs, ratio, target }) => {
      const asked = target === undefined ? "" : ` (asked: ${target}x${ratio >= target ? "" : ", MISSED"})`;
      return `${name}: ${show(ours, unit)}, zeromq under Node ${show(theirs, unit)}: ${ratio.toFixed(1)}x${asked}`;
    })
    .join("\n");
}

if (import.meta.main) process.stdout.write(`${format(await run())}\n`);
