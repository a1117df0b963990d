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
import { compileRedaction } from "./redact.ts";
import { CopyTranslator } from "./translator.ts";

/** Messages from several nodes are brought into the order of time within so many milliseconds. */
const orderMs = 100;
/** A message about a task whose offer has not come yet waits for it so many milliseconds: its sender's clock may be ahead. */
const offerMs = 2_000;
/** With so much not written yet, nodes have to wait. */
const mostHeldBytes = 32 * 1024 * 1024;
/** Milliseconds a node that left has to send what it still had. */
const goneMs = 2_000;
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
  /** Nodes that send copies. */
  readonly nodes: number;
  /** Messages that were sent and could not be recorded. */
  readonly lost: number;
}

/** Something that waits for its place in the order of time. */
interface Held {
  readonly time: number;
  readonly bytes: number;
  readonly heldAt: number;
  readonly nodeId: string;
  readonly copy?: Copy;
  readonly line?: RecordingLine;
}

interface RecordedNode {
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
  readonly #waiters = new Set<() => void>();
  #held: Held[] = [];
  /** Of what is held and of what is being written. */
  #bytes = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #translator: CopyTranslator | undefined;
  #watching: Disposable | undefined;
  #subscribers = new Map<string, readonly string[]>();
  #messages = 0;
  #lost = 0;

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
    const live = [...this.#nodes.values()].filter(({ isOver }) => !isOver);
    return { messages: this.#messages, agents: this.#agents.size, nodes: live.length, lost: this.#lost };
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
    this.#write([header], 0);
    this.#translator = new CopyTranslator((type, topic) => {
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
    });
    this.#watching = directory.onChange(() => this.#look(node));
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
    const { node } = this.services();
    this.#watching?.[Symbol.dispose]();
    for (const [nodeId, one] of this.#nodes) {
      one.leaving?.cancel();
      if (!one.isOver) this.#cutOff(node, nodeId, one);
    }
    this.#timer?.cancel();
    this.#flush(true);
    this.#write([{ kind: "end", time: node.runtime.now(), messages: this.#messages, lost: this.#lost }], 0);
    await this.#writing;
  }

  #take(params: unknown): Promise<void> | undefined {
    if (this.#failure) throw new SoormaError("NODE_STOPPED", "the recording cannot be written any more");
    const { nodeId, copies, last } = readBatch(params);
    const { node } = this.services();
    let one = this.#nodes.get(nodeId);
    if (!one) {
      one = { number: 0, isOver: false, leaving: undefined };
      this.#nodes.set(nodeId, one);
    }
    for (const [number, packed] of copies) {
      if (number <= one.number) continue;
      this.#missed(node, nodeId, number - one.number - 1);
      one.number = number;
      this.#keep(nodeId, packed);
    }
    if (last !== undefined) {
      this.#missed(node, nodeId, last - one.number);
      one.number = Math.max(one.number, last);
      one.isOver = true;
      one.leaving?.cancel();
    }
    for (const wake of [...this.#waiters]) wake();
    // Its node keeps what comes meanwhile.
    return this.#bytes > mostHeldBytes ? this.#room() : undefined;
  }

  async #room(): Promise<void> {
    while (this.#bytes > mostHeldBytes && !this.#failure) {
      this.#flush(false);
      await this.#writing;
    }
  }

  #keep(nodeId: string, packed: Uint8Array): void {
    let copy: Copy;
    try {
      copy = this.#codec.decode(packed) as Copy;
    } catch (error) {
      this.log.debug("copy.refused", { nodeId, error });
      return;
    }
    const time = Array.isArray(copy) && typeof copy[1] === "number" ? copy[1] : 0;
    this.#hold({ time, bytes: packed.byteLength, nodeId, copy });
  }

  #missed(node: MeshNode, nodeId: string, count: number): void {
    if (count <= 0) return;
    this.#lost += count;
    const why = "they came faster than they could be recorded";
    this.#tell({ kind: "lost", time: node.runtime.now(), nodeId, count, why });
  }

  #cutOff(node: MeshNode, nodeId: string, one: RecordedNode): void {
    one.isOver = true;
    const why = "the node was gone before it had sent everything";
    this.#tell({ kind: "lost", time: node.runtime.now(), nodeId, count: 0, why });
  }

  /** Who came, changed and left. */
  #look(node: MeshNode): void {
    this.#subscribers.clear();
    const { directory, runtime } = node;
    const time = runtime.now();
    const seen = new Set<string>();
    for (const record of directory.all()) {
      if (record.agentId === this.agentId) continue;
      seen.add(record.agentId);
      const before = this.#agents.get(record.agentId);
      if (before === record) continue;
      this.#agents.set(record.agentId, record);
      const agent = agentOf(record);
      if (before && Bun.deepEquals(agentOf(before), agent)) continue;
      this.#tell({ kind: "agent", time, change: before ? "changed" : "there", agent });
    }
    for (const [agentId, record] of this.#agents) {
      if (seen.has(agentId)) continue;
      this.#agents.delete(agentId);
      this.#tell({ kind: "agent", time, change: "left", agent: agentOf(record) });
    }
    const live = new Set([...directory.nodes()].map(({ nodeId }) => nodeId));
    for (const [nodeId, one] of this.#nodes) {
      if (live.has(nodeId) || one.isOver || one.leaving) continue;
      one.leaving = runtime.setTimer(() => !one.isOver && this.#cutOff(node, nodeId, one), goneMs, {
        background: true,
      });
    }
    for (const wake of [...this.#waiters]) wake();
  }

  #tell(line: RecordingLine): void {
    this.#hold({ time: line.time, bytes: 0, nodeId: "", line });
  }

  #hold(held: Omit<Held, "heldAt">): void {
    const { runtime } = this.services().node;
    this.#held.push({ ...held, heldAt: runtime.monotonic() });
    this.#bytes += held.bytes;
    this.#flushSoon();
  }

  #flushSoon(): void {
    this.#timer ??= this.services().node.runtime.setTimer(
      () => {
        this.#timer = undefined;
        this.#flush(false);
      },
      orderMs / 2,
      { background: true },
    );
  }

  /** Writes what was held long enough, or everything, in the order of time. */
  #flush(all: boolean): void {
    const dueAt = this.services().node.runtime.monotonic() - orderMs;
    const due = all ? this.#held : this.#held.filter(({ heldAt }) => heldAt <= dueAt);
    const kept = all ? [] : this.#held.filter(({ heldAt }) => heldAt > dueAt);
    due.sort((a, b) => a.time - b.time || rankOf(a) - rankOf(b));
    const lines: RecordingLine[] = [];
    const orphans = new Map<string, number>();
    let bytes = 0;
    for (const held of due) {
      const { copy, line, nodeId, heldAt } = held;
      if (copy && !all && heldAt > dueAt - offerMs && this.#translator?.isEarly(copy)) {
        kept.push(held);
        continue;
      }
      bytes += held.bytes;
      if (line) lines.push(line);
      if (!copy) continue;
      const messages = this.#translate(nodeId, copy);
      if (messages) lines.push(...messages);
      else orphans.set(nodeId, (orphans.get(nodeId) ?? 0) + 1);
    }
    for (const [nodeId, count] of orphans) {
      this.#lost += count;
      const { now } = this.services().node.runtime;
      lines.push({ kind: "lost", time: now(), nodeId, count, why: "they answer something that was lost" });
    }
    this.#held = kept;
    if (lines.length > 0 || bytes > 0) this.#write(lines, bytes);
    if (kept.length > 0) this.#flushSoon();
  }

  #translate(nodeId: string, copy: Copy): RecordingLine[] | undefined {
    try {
      return this.#translator
        ?.translate(nodeId, copy)
        ?.filter(({ from }) => from !== this.agentId)
        .map((message) => {
          this.#messages++;
          return this.#redact(message);
        });
    } catch (error) {
      this.log.debug("copy.refused", { nodeId, error });
      return [];
    }
  }

  #write(lines: readonly (RecordingHeader | RecordingLine)[], bytes: number): void {
    this.#writing = this.#writing.then(async () => {
      try {
        if (!this.#failure) await this.#o.write(lines);
      } catch (error) {
        this.#failure = { error };
        this.#o.onFailure?.(error);
      }
      this.#bytes -= bytes;
    });
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

/** Of what has the same time: a task is offered before anything is said of it, and something is answered after it was asked. */
function rankOf({ copy }: Held): number {
  if (!copy) return 0;
  if (copy[0] === "answer") return 3;
  return copy[0] === "call" && copy[3] !== "task.result" ? 1 : 2;
}

function agentOf(record: AgentRecord): RecordedAgent {
  const {
    agentId,
    name,
    kind,
    description,
    version,
    capabilities,
    goals,
    tasks,
    operations,
    consumes,
    produces,
    nodeId,
  } = record;
  return {
    agentId,
    name,
    kind,
    description,
    version,
    capabilities,
    goals,
    tasks,
    operations,
    consumes,
    produces,
    nodeId,
  };
}

/** @throws {SoormaError} `MESSAGE_MALFORMED` */
function readBatch(params: unknown): CopyBatch {
  const { nodeId, copies, last } = (params ?? {}) as Partial<CopyBatch>;
  const isBatch =
    typeof nodeId === "string" &&
    Array.isArray(copies) &&
    copies.every((copy) => Array.isArray(copy) && typeof copy[0] === "number" && copy[1] instanceof Uint8Array) &&
    (last === undefined || typeof last === "number");
  if (!isBatch) throw new SoormaError("MESSAGE_MALFORMED", "what is to be recorded is no list of copies");
  return params as CopyBatch;
}
