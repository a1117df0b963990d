import { Agent, type AgentOptions } from "../agents/agent.ts";
import type { NodeServices } from "../agents/services.ts";
import { SoormaError } from "../errors.ts";
import { type Codec, createCodec } from "../events/codec.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import { type Copy, type CopyBatch, recorderCapability, recordMethod } from "../mesh/tap.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Timer } from "../runtime.ts";
import {
  type RecordedAgent,
  type RecordingHeader,
  type RecordingLine,
  recordingFormat,
  recordingVersion,
} from "./format.ts";
import { LineWriter } from "./line-writer.ts";
import { compileRedaction } from "./redact.ts";
import { CopyTranslator } from "./translator.ts";

/** Milliseconds a node that left has to send what it still had. */
const goneMs = 2_000;
const overrun = "they came faster than they could be recorded";
/** So often the recorder looks whether time passed without it, and so many milliseconds of that are told. */
const pulseMs = 500;
const longestStallMs = 2_000;
/** Milliseconds the nodes have for their last messages when recording ends. */
const endMs = 2_000;

export interface RecorderOptions extends Omit<AgentOptions, "name" | "capabilities"> {
  /** Takes the header, then lines in about the order of time. While it takes its time, nodes keep what comes, up to 8 MiB each. */
  readonly write: (lines: readonly (RecordingHeader | RecordingLine)[]) => void | Promise<void>;
  /** Called once when `write` failed: nothing is written any more. */
  readonly onFailure?: (error: unknown) => void;
  /** Paths of what shall not get into the recording: `data.card.number`, `password`. */
  readonly redact?: readonly string[];
  readonly project?: string;
}

export interface RecorderStats {
  readonly messages: number;
  /** Live agents beside the recorder. */
  readonly agents: number;
  /** Nodes that host these agents. */
  readonly nodes: number;
  /** Messages that were sent and could not be recorded. */
  readonly lost: number;
}

interface RecordedNode {
  session: number;
  /** Number of the last copy taken. */
  number: number;
  isOver: boolean;
  /** Runs since the node left the mesh. */
  leaving: Timer | undefined;
}

/**
 * Records what the agents of a mesh send each other.
 *
 * While it runs, every node sends it copies: those that are there, and those that come later, from their first message
 * on. It slows nobody down; what it cannot keep up with is lost, and counted in the recording.
 */
export class Recorder extends Agent {
  readonly kind = "service";
  readonly #o: RecorderOptions;
  readonly #redact: <T extends object>(line: T) => T;
  readonly #codec: Codec = createCodec();
  readonly #nodes = new Map<string, RecordedNode>();
  readonly #agents = new Map<string, AgentRecord>();
  /** Of nodes that are known, if they have only one; kept when they have left, for what they sent before. */
  readonly #agentOn = new Map<string, string | undefined>();
  readonly #waiters = new Set<() => void>();
  #writer: LineWriter | undefined;
  #watching: Disposable | undefined;
  #pulse: Timer | undefined;
  #subscribers = new Map<string, readonly string[]>();

  constructor(options: RecorderOptions) {
    const { write: _write, onFailure: _onFailure, redact = [], project: _project, ...agent } = options;
    super({
      description: "Records the mesh",
      drainMs: endMs,
      ...agent,
      name: "recorder",
      capabilities: [recorderCapability],
    });
    this.#o = options;
    this.#redact = compileRedaction(redact);
  }

  get recorded(): RecorderStats {
    const nodes = new Set(Array.from(this.#agents.values(), ({ nodeId }) => nodeId));
    const { messages = 0, lost = 0 } = this.#writer ?? {};
    return { messages, agents: this.#agents.size, nodes: nodes.size, lost };
  }

  /**
   * Resolves when every node that can be reached sends copies, with whether they all do: false when one did not begin in time.
   */
  async copying(timeoutMs = 3_000): Promise<boolean> {
    const { node } = this.services();
    const missing = (): boolean =>
      [...node.directory.nodes()].some(
        (one) => node.directory.isReachable(one.address) && !this.#nodes.has(one.nodeId),
      );
    return await this.#until(node, () => !missing(), timeoutMs);
  }

  override onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    return method === recordMethod ? this.#take(params) : super.onCall(method, params, call);
  }

  protected override async onStart({ node }: NodeServices): Promise<void> {
    const { directory, runtime, tenantId } = node;
    const { redact = [], project } = this.#o;
    const time = runtime.now();
    const header: RecordingHeader = {
      format: recordingFormat,
      version: recordingVersion,
      time,
      // biome-ignore lint/style/noRestrictedGlobals: a given time is written as text
      startedAt: new Date(time).toISOString(),
      tenant: tenantId,
      ...(project === undefined ? {} : { project }),
      ...(redact.length === 0 ? {} : { redacted: redact }),
    };
    const subscribersOf = (type: string, topic: string): readonly string[] => {
      const key = `${type} ${topic}`;
      let found = this.#subscribers.get(key);
      if (!found) {
        found = directory.all().flatMap(({ agentId, ready, consumes }) => {
          const wants = consumes.some((ref) => ref.group === undefined && directory.takes(ref, type, topic));
          return wants && ready && agentId !== this.agentId ? [agentId] : [];
        });
        this.#subscribers.set(key, found);
      }
      return found;
    };
    const agentOn = (nodeId: string): string | undefined => this.#agentOn.get(nodeId);
    const translator = new CopyTranslator({ subscribersOf, agentOn });
    const { write, onFailure } = this.#o;
    this.#writer = new LineWriter(
      {
        runtime,
        translator,
        write,
        finish: (message) => (message.from === this.agentId ? undefined : this.#redact(message)),
        onRefused: (nodeId, error) => this.log.debug("copy.refused", { nodeId, error }),
        onFailure: (error) => onFailure?.(error),
      },
      header,
    );
    this.#watching = directory.onChange(() => this.#look(node));
    this.#watchTime(node, runtime.monotonic());
    this.#look(node);
  }

  /** Waits for the last messages of every node. */
  protected override async idle(): Promise<void> {
    const { node } = this.services();
    await super.idle();
    const isOpen = ([nodeId, one]: [string, RecordedNode]): boolean =>
      !one.isOver &&
      [...node.directory.nodes()].some((known) => known.nodeId === nodeId && node.directory.isReachable(known.address));
    await this.#until(node, () => ![...this.#nodes].some(isOpen), endMs);
  }

  protected override async onStop(): Promise<void> {
    this.#watching?.[Symbol.dispose]();
    this.#pulse?.cancel();
    for (const [nodeId, one] of this.#nodes) {
      one.leaving?.cancel();
      if (!one.isOver) this.#cutOff(nodeId, one);
    }
    await this.#writer?.close();
  }

  #take(params: unknown): Promise<void> | undefined {
    const writer = this.#writer;
    if (!writer || writer.hasFailed || writer.isClosed)
      throw new SoormaError("NODE_STOPPED", "the recording cannot be written any more");
    const { nodeId, session, copies, last } = readBatch(params);
    let one = this.#nodes.get(nodeId);
    if (!one || session > one.session) {
      // It had lost sight of this recorder.
      if (one && !one.isOver) this.#cutOff(nodeId, one, "the node had stopped copying for a while");
      one?.leaving?.cancel();
      one = { session, number: 0, isOver: false, leaving: undefined };
      this.#nodes.set(nodeId, one);
    }
    if (session < one.session) return undefined;
    for (const [number, packed] of copies) {
      if (number <= one.number) continue;
      if (number > one.number + 1) writer.missed(nodeId, number - one.number - 1, overrun);
      one.number = number;
      this.#keep(writer, nodeId, packed);
    }
    if (last !== undefined) {
      if (last > one.number) writer.missed(nodeId, last - one.number, overrun);
      one.number = Math.max(one.number, last);
      one.isOver = true;
      one.leaving?.cancel();
    }
    for (const wake of [...this.#waiters]) wake();
    // Its node keeps what comes meanwhile.
    return writer.room();
  }

  #keep(writer: LineWriter, nodeId: string, packed: Uint8Array): void {
    try {
      writer.copy(nodeId, this.#codec.decode(packed) as Copy, packed.byteLength);
    } catch (error) {
      this.log.debug("copy.refused", { nodeId, error });
    }
  }

  #cutOff(nodeId: string, one: RecordedNode, why = "the node was gone before it had sent everything"): void {
    one.isOver = true;
    this.#writer?.missed(nodeId, 0, why);
  }

  /** While this process is stopped nodes may come and go that it never hears of. */
  #watchTime(node: MeshNode, beganAt: number): void {
    this.#pulse = node.runtime.setTimer(
      () => {
        const now = node.runtime.monotonic();
        const stoppedMs = now - beganAt - pulseMs;
        if (stoppedMs > longestStallMs) {
          this.#writer?.missed(node.nodeId, 0, `the recorder was stopped for ${Math.round(stoppedMs)} ms`);
        }
        this.#watchTime(node, now);
      },
      pulseMs,
      { background: true },
    );
  }

  /** Who came, changed and left. */
  #look(node: MeshNode): void {
    this.#subscribers.clear();
    const { directory, runtime } = node;
    const time = runtime.now();
    const seen = new Set<string>();
    const hosts = new Set<string>();
    for (const record of directory.all()) {
      if (record.agentId === this.agentId) continue;
      seen.add(record.agentId);
      this.#agentOn.set(record.nodeId, hosts.has(record.nodeId) ? undefined : record.agentId);
      hosts.add(record.nodeId);
      const before = this.#agents.get(record.agentId);
      if (before === record) continue;
      this.#agents.set(record.agentId, record);
      const agent = agentOf(record);
      if (before && Bun.deepEquals(agentOf(before), agent)) continue;
      this.#writer?.line({ kind: "agent", time, change: before ? "changed" : "there", agent });
    }
    for (const [agentId, record] of this.#agents) {
      if (seen.has(agentId)) continue;
      this.#agents.delete(agentId);
      this.#writer?.line({ kind: "agent", time, change: "left", agent: agentOf(record) });
    }
    const live = new Set([...directory.nodes()].map(({ nodeId }) => nodeId));
    for (const [nodeId, one] of this.#nodes) {
      if (live.has(nodeId) || one.isOver || one.leaving) continue;
      one.leaving = runtime.setTimer(() => !one.isOver && this.#cutOff(nodeId, one), goneMs, {
        background: true,
      });
    }
    for (const wake of [...this.#waiters]) wake();
  }

  async #until(node: MeshNode, condition: () => boolean, timeoutMs: number): Promise<boolean> {
    if (condition()) return true;
    return await new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#waiters.delete(wake);
        resolve(condition());
      };
      const wake = (): void => {
        if (condition()) end();
      };
      this.#waiters.add(wake);
      const timer = node.runtime.setTimer(end, timeoutMs);
    });
  }
}

function agentOf(record: AgentRecord): RecordedAgent {
  const { agentId, name, kind, description, version, capabilities, nodeId } = record;
  const { goals, tasks, operations, consumes, produces } = record;
  const own = { agentId, name, kind, description, version, capabilities, nodeId };
  return { ...own, goals, tasks, operations, consumes, produces };
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
function readBatch(params: unknown): CopyBatch {
  const { nodeId, session, copies, last } = (params ?? {}) as Partial<CopyBatch>;
  const isBatch =
    typeof nodeId === "string" &&
    typeof session === "number" &&
    Array.isArray(copies) &&
    copies.every((copy) => Array.isArray(copy) && typeof copy[0] === "number" && copy[1] instanceof Uint8Array) &&
    (last === undefined || typeof last === "number");
  if (!isBatch) throw new SoormaError("MESSAGE_MALFORMED", "what is to be recorded is no list of copies");
  return params as CopyBatch;
}
