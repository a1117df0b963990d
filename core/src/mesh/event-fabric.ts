import { isSoormaError, SoormaError } from "../errors.ts";
import { isAnswer } from "../events/answers.ts";
import { type Codec, namePart } from "../events/codec.ts";
import { type Envelope, packEnvelope, unpackEnvelope } from "../events/envelope.ts";
import { channelOf, channelPrefix, type Pattern } from "../events/pattern.ts";
import type { Topic } from "../events/topics.ts";
import type { Logger } from "../log.ts";
import type { Address, Transport } from "../plugin/transport.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost, type Runtime, sleep, type Timer } from "../runtime.ts";
import type { Balance } from "./balance.ts";
import type { DirectoryView, KnownNode } from "./directory-view.ts";
import { type Gap, GapDetector } from "./gap-detector.ts";
import { isPeerTrouble } from "./peer-rpc.ts";
import { PublisherLinks } from "./publisher-links.ts";
import { RecentIds } from "./recent-ids.ts";
import type { Rpc } from "./rpc.ts";
import type { Tap } from "./tap.ts";

/** What a frame on a channel is: an event, or a publisher's word of how far it has counted. */
const frameKind = { event: 1, counts: 2 } as const;

/** Channel of the counts; no tenant can be named so. */
const countsChannel = "~counts.";

/** A publisher says this often how far it has counted, as long as it publishes: so a lost last event is noticed too. */
const countsEveryMs = 1_000;

/** How long a first event of its type waits for the subscribers that announced it to be connected. */
const subscriberWaitMs = 2_000;

/** How long what a handler publishes waits for a slow subscriber on its own node: that one may be waiting for the handler. */
const slowNeighbourMs = 1_000;

/** How long an event waits for some member of a queue group to take it. */
const groupWaitMs = 30_000;

const deliverMethod = "event.deliver";

export interface Subscription {
  readonly agentId: string;
  readonly pattern: Pattern;
  readonly topic: Topic | undefined;
  /** One member of the group gets each event. */
  readonly group: string | undefined;
  /** Takes an event; a returned promise holds back what follows until it resolves. Must not throw or reject. */
  deliver(envelope: Envelope): void | Promise<void>;
  /** True when it cannot be taken now; queue groups then choose another member. */
  full(envelope: Envelope): boolean;
}

export interface EventFabricOptions {
  readonly nodeId: string;
  readonly tenantId: string;
  readonly transport: Transport;
  readonly rpc: Rpc;
  readonly codec: Codec;
  readonly directory: DirectoryView;
  readonly balance: Balance;
  readonly runtime: Runtime;
  readonly log: Logger;
  /** Largest event in bytes. */
  readonly maxFrameBytes: number;
  /** Called with the address of whoever is sent something directly. */
  readonly onContact: (address: Address) => void;
  /** Called with every gap noticed. */
  readonly onGap: (gap: Gap) => void;
  /** Called with every event published. */
  readonly onPublish?: (event: Envelope) => void;
}

export interface EventStats {
  readonly published: number;
  readonly received: number;
  readonly malformed: number;
  /** Events that never came, and the gaps they left. */
  readonly missed: number;
  readonly gaps: number;
  readonly duplicates: number;
}

/** Publishing and subscribing between nodes: who hears whom, in what order, and what was missed. */
export class EventFabric {
  /** Gets a copy of what is published, while somebody records. */
  tap: Tap | undefined;
  readonly #o: EventFabricOptions;
  readonly #subscriptions = new Set<Subscription>();
  /** Subscriptions at the transport, by prefix: how many need it, and when it is in place. */
  readonly #prefixes = new Map<string, { count: number; readonly placed: Promise<void> }>();
  readonly #publishers: PublisherLinks;
  readonly #sequences = new Map<string, number>();
  readonly #uncounted = new Set<string>();
  readonly #gaps = new GapDetector();
  readonly #seen = new RecentIds(8_192);
  /** Of goals' answers that were delivered to subscriptions of this node: these are known by id, whoever publishes them. */
  readonly #answers = new RecentIds(8_192);
  /** Nodes whose subscriptions are in place here. */
  readonly #subscribers = new Set<string>();
  readonly #subscriberWaiters = new Set<() => void>();
  readonly #handle: Disposable;
  readonly #watching: Disposable;
  #countsTimer: Timer | undefined;
  #hearsCounts: Promise<void> | undefined;
  #closed = false;
  #published = 0;
  #received = 0;
  #malformed = 0;
  #missed = 0;
  #gapCount = 0;
  #duplicates = 0;

  constructor(options: EventFabricOptions) {
    this.#o = options;
    this.#publishers = new PublisherLinks({
      nodeId: options.nodeId,
      directory: options.directory,
      transport: options.transport,
      log: options.log,
      subscriptions: this.#subscriptions,
      onGone: (nodeId) => {
        this.#gaps.left(nodeId);
        this.#subscribers.delete(nodeId);
      },
    });
    this.#handle = options.rpc.handle(deliverMethod, ({ params }) => {
      // Answered at once: that it was taken is all there is to say.
      void this.#takeForGroup(params);
    });
    this.#watching = options.directory.onChange(() => this.#publishers.follow());
  }

  /**
   * Publishes an event. Resolves when every subscriber connected has it underway and one member of each queue group
   * has taken it; slow subscribers make it wait.
   *
   * @throws {SoormaError} `PAYLOAD_INVALID`; `MESSAGE_TOO_LARGE`; `NO_RESPONDER` when no member of a group took it in 30 s.
   */
  publish(envelope: Envelope): void | Promise<void> {
    const { transport, directory, tenantId, nodeId, maxFrameBytes } = this.#o;
    const channel = channelOf(tenantId, envelope.type, envelope.topic);
    const packed = packEnvelope(envelope);
    const sequence = (this.#sequences.get(channel) ?? 0) + 1;
    const frame = this.#packed([frameKind.event, nodeId, sequence, packed], envelope);
    if (frame.byteLength > maxFrameBytes) {
      throw new SoormaError(
        "MESSAGE_TOO_LARGE",
        `event "${envelope.type}" is ${frame.byteLength} bytes; the limit of this mesh is ${maxFrameBytes}`,
        { hint: "Store the data in memory and publish its key, or raise the mesh's maxFrameBytes." },
      );
    }
    // Counted only once nothing can refuse it any more: a number never sent would look like a loss.
    this.#sequences.set(channel, sequence);
    this.#countSoon(channel);
    this.#published++;
    this.tap?.event(packed);
    this.#o.onPublish?.(envelope);
    const waits: Promise<void>[] = [];
    const sent = transport.publish(channel, frame);
    if (sent) waits.push(sent);
    this.#deliverHere(envelope, packed, waits);
    const groups = directory.groups(envelope.type, envelope.topic);
    for (const { group } of groups) waits.push(this.#deliverToGroup(group, envelope, packed));
    if (waits.length === 0) return undefined;
    return waits.length === 1 ? waits[0] : Promise.all(waits).then(() => undefined);
  }

  /**
   * Adds a subscription; resolves when it is in place at every publisher connected to.
   *
   * The caller announces it in the directory, which is how queue groups and new publishers learn of it.
   */
  async subscribe(subscription: Subscription): Promise<void> {
    // One that a paused agent made is there already when the agent goes on.
    const isNew = !this.#subscriptions.has(subscription);
    this.#subscriptions.add(subscription);
    if (subscription.group !== undefined) return;
    const { transport, tenantId } = this.#o;
    const prefix = channelPrefix(tenantId, subscription.pattern, subscription.topic);
    this.#publishers.follow();
    this.#hearsCounts ??= transport.subscribe(countsChannel);
    let entry = this.#prefixes.get(prefix);
    if (!entry) {
      entry = { count: 0, placed: transport.subscribe(prefix) };
      this.#prefixes.set(prefix, entry);
    }
    if (isNew) entry.count++;
    await Promise.all([entry.placed, this.#hearsCounts]);
    await this.#publishers.ready();
  }

  unsubscribe(subscription: Subscription): void {
    if (!this.#subscriptions.delete(subscription) || subscription.group !== undefined) return;
    const { transport, tenantId } = this.#o;
    const prefix = channelPrefix(tenantId, subscription.pattern, subscription.topic);
    const entry = this.#prefixes.get(prefix);
    if (entry && --entry.count > 0) return;
    this.#prefixes.delete(prefix);
    if (this.#closed) return;
    transport.unsubscribe(prefix);
    this.#gaps.forget((channel) => channel.startsWith(prefix) && !this.#hears(channel));
    this.#publishers.follow();
  }

  /** Resolves when every live publisher of something subscribed to is connected and has the subscriptions. */
  async joined(): Promise<void> {
    this.#publishers.follow();
    await this.#publishers.ready();
  }

  /**
   * Resolves when the nodes that announced they want events of that type have their subscriptions in place here, or
   * after two seconds: a node that hangs must not keep others from publishing.
   */
  async subscribersOf(type: string, topic: Topic): Promise<void> {
    const { directory, nodeId, runtime, log, transport } = this.#o;
    if (!transport.supports.joins) return;
    const missing = (): KnownNode[] =>
      directory
        .broadcastNodes(type, topic)
        .filter(
          (node) =>
            node.nodeId !== nodeId && directory.isReachable(node.address) && !this.#subscribers.has(node.nodeId),
        );
    const deadline = runtime.monotonic() + subscriberWaitMs;
    while (missing().length > 0 && !this.#closed) {
      const left = deadline - runtime.monotonic();
      if (left <= 0) {
        log.warn("subscribers.missing", { type, nodes: missing().map((node) => node.nodeId) });
        return;
      }
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          timer.cancel();
          this.#subscriberWaiters.delete(wake);
          changed[Symbol.dispose]();
          resolve();
        };
        const timer = runtime.setTimer(wake, left);
        const changed = directory.onChange(wake);
        this.#subscriberWaiters.add(wake);
      });
    }
  }

  onSubscriber(nodeId: string): void {
    this.#subscribers.add(nodeId);
    for (const wake of [...this.#subscriberWaiters]) wake();
  }

  /** A frame from a publisher. */
  onEvent(frame: Uint8Array): void | Promise<void> {
    let message: unknown;
    try {
      message = this.#o.codec.decode(frame);
    } catch {
      this.#malformed++;
      return undefined;
    }
    if (!Array.isArray(message) || typeof message[1] !== "string" || message[1].length > 64) {
      this.#malformed++;
      return undefined;
    }
    const [kind, publisher, third, fourth] = message as [unknown, string, unknown, unknown];
    if (kind === frameKind.event && isSequence(third)) return this.#takeEvent(publisher, third, fourth);
    if (kind === frameKind.counts && Array.isArray(third)) this.#takeCounts(publisher, third);
    else this.#malformed++;
    return undefined;
  }

  stats(): EventStats {
    return {
      published: this.#published,
      received: this.#received,
      malformed: this.#malformed,
      missed: this.#missed,
      gaps: this.#gapCount,
      duplicates: this.#duplicates,
    };
  }

  close(): void {
    this.#closed = true;
    this.#countsTimer?.cancel();
    this.#handle[Symbol.dispose]();
    this.#watching[Symbol.dispose]();
    this.#publishers.close();
    for (const wake of [...this.#subscriberWaiters]) wake();
  }

  #takeEvent(publisher: string, sequence: number, packed: unknown): void | Promise<void> {
    let envelope: Envelope;
    try {
      envelope = unpackEnvelope(packed);
    } catch (error) {
      this.#malformed++;
      this.#o.log.debug("event.refused", { publisher, error });
      return undefined;
    }
    if (envelope.tenantId !== this.#o.tenantId) {
      this.#malformed++;
      return undefined;
    }
    const found = this.#gaps.event(publisher, channelOf(envelope.tenantId, envelope.type, envelope.topic), sequence);
    if (found === "duplicate") {
      this.#duplicates++;
      return undefined;
    }
    if (found) this.#report(found);
    if (this.#hadAnswer(envelope)) return undefined;
    this.#received++;
    let waits: Promise<void>[] | undefined;
    for (const subscription of this.#subscriptions) {
      if (subscription.group !== undefined || !matches(subscription, envelope)) continue;
      const wait = subscription.deliver(envelope);
      if (wait) {
        waits ??= [];
        waits.push(wait);
      }
    }
    return waits && Promise.all(waits).then(() => undefined);
  }

  #takeCounts(publisher: string, counts: readonly unknown[]): void {
    for (const entry of counts) {
      if (!Array.isArray(entry) || typeof entry[0] !== "string" || !isSequence(entry[1])) {
        this.#malformed++;
        return;
      }
      const [channel, sequence] = entry as [string, number];
      if (!this.#hears(channel)) continue;
      const gap = this.#gaps.announced(publisher, channel, sequence);
      if (gap) this.#report(gap);
    }
  }

  #report(gap: Gap): void {
    const count = gap.to - gap.from + 1;
    this.#missed += count;
    this.#gapCount++;
    this.#o.log.warn("gap", { ...gap, count });
    this.#o.onGap(gap);
  }

  /** True when some subscription of this node is for the channel. */
  #hears(channel: string): boolean {
    for (const prefix of this.#prefixes.keys()) if (channel.startsWith(prefix)) return true;
    return false;
  }

  #countSoon(channel: string): void {
    this.#uncounted.add(channel);
    this.#countsTimer ??= this.#o.runtime.setTimer(
      () => {
        this.#countsTimer = undefined;
        if (this.#closed) return;
        const counts = [...this.#uncounted].map((name) => [name, this.#sequences.get(name) ?? 0]);
        this.#uncounted.clear();
        const { codec, transport, nodeId, log } = this.#o;
        const failed = (error: unknown): void => log.debug("counts.failed", { error });
        try {
          transport.publish(countsChannel, codec.encode([frameKind.counts, nodeId, counts]))?.catch(failed);
        } catch (error) {
          failed(error);
        }
      },
      countsEveryMs,
      { background: true },
    );
  }

  /** Subscriptions of this very node, which hears none of its own publications through the transport. */
  #deliverHere(envelope: Envelope, packed: unknown, waits: Promise<void>[]): void {
    if (this.#hadAnswer(envelope)) return;
    for (const subscription of this.#subscriptions) {
      if (subscription.group !== undefined || !matches(subscription, envelope)) continue;
      const wait = subscription.deliver(this.#copy(packed));
      if (wait) waits.push(envelope.parentId === undefined ? wait : atMost(this.#o.runtime, slowNeighbourMs, wait));
    }
  }

  /** Whether it is the answer of a goal, and was here before: its planner was lost, and the next one published it again. */
  #hadAnswer(envelope: Envelope): boolean {
    if (!isAnswer(envelope) || this.#answers.add(envelope.id)) return false;
    this.#duplicates++;
    return true;
  }

  #packed(message: unknown, { type, data }: Envelope): Uint8Array {
    try {
      return this.#o.codec.encode(message);
    } catch (error) {
      throw namePart(error, data, "data", `event "${type}"`);
    }
  }

  /** A handler gets data of its own, on whichever node it runs. */
  #copy(packed: unknown): Envelope {
    const { codec } = this.#o;
    return unpackEnvelope(codec.decode(codec.encode(packed)));
  }

  async #deliverToGroup(group: string, envelope: Envelope, packed: unknown): Promise<void> {
    const { directory, balance, rpc, nodeId, runtime, log, onContact } = this.#o;
    const deadline = runtime.monotonic() + groupWaitMs;
    const failed = new Set<string>();
    for (let round = 0; !this.#closed; round++) {
      const all = directory.groups(envelope.type, envelope.topic).find((entry) => entry.group === group)?.members ?? [];
      const open = all.filter((agent) => !failed.has(agent.agentId));
      const member = isAnswer(envelope) ? memberOf(envelope.id, open) : balance.pick(open);
      if (member) {
        using _ = balance.begin(member.agentId);
        try {
          if (member.nodeId === nodeId) {
            const taken = this.#takeForGroup([
              group,
              member.agentId,
              this.#o.codec.decode(this.#o.codec.encode(packed)),
            ]);
            // Whoever is full refuses; only what a member's own handlers publish is taken all the same.
            if (envelope.source === member.agentId) await taken;
          } else {
            onContact(member.address);
            await rpc.call(member.address, deliverMethod, [group, member.agentId, packed]);
          }
          this.tap?.delivery(envelope, group, member.agentId);
          return;
        } catch (error) {
          if (!isPeerTrouble(error) && !isSoormaError(error, "OVERLOADED") && !isSoormaError(error, "NO_RESPONDER"))
            throw error;
          log.debug("group.retry", { group, agentId: member.agentId, error });
          failed.add(member.agentId);
          continue;
        }
      }
      if (runtime.monotonic() >= deadline) break;
      failed.clear();
      await sleep(runtime, Math.min(1_000, 10 * 2 ** Math.min(round, 7)));
    }
    const event = `event "${envelope.type}"`;
    if (this.#closed)
      throw new SoormaError("NODE_STOPPED", `${event} reached no member of group "${group}" before this node stopped`);
    throw new SoormaError(
      "NO_RESPONDER",
      `${event} found no member of group "${group}" that took it within ${groupWaitMs} ms`,
    );
  }

  /**
   * Takes an event for one member of a group on this node. Answering acknowledges that the member has it; what it returns
   * is pending while the member has too much to do.
   */
  #takeForGroup(params: unknown): Promise<unknown> | undefined {
    if (!Array.isArray(params)) throw new SoormaError("MESSAGE_MALFORMED", "a delivery is no list");
    const [group, agentId, packed] = params as unknown[];
    const envelope = unpackEnvelope(packed);
    if (envelope.tenantId !== this.#o.tenantId)
      throw new SoormaError("MESSAGE_MALFORMED", "the event is of another tenant");
    const found = [...this.#subscriptions].filter(
      (s) => s.group === group && s.agentId === agentId && matches(s, envelope),
    );
    if (found.length === 0)
      throw new SoormaError("NO_RESPONDER", `${String(agentId)} does not take "${envelope.type}"`);
    if (found.some((subscription) => subscription.full(envelope))) {
      throw new SoormaError("OVERLOADED", `${String(agentId)} has too many events waiting`);
    }
    if (!this.#seen.add(`${String(group)} ${envelope.id}`)) {
      this.#duplicates++;
      return undefined;
    }
    this.#received++;
    const waits = found.map((subscription) => subscription.deliver(envelope)).filter((wait) => wait !== undefined);
    return waits.length > 0 ? Promise.all(waits) : undefined;
  }
}

/** Always the same of the same members: what is published twice goes to one that knows it. */
function memberOf(id: string, members: readonly AgentRecord[]): AgentRecord | undefined {
  let best: AgentRecord | undefined;
  let most = -1n;
  for (const member of members) {
    const weight = BigInt(Bun.hash(`${id} ${member.agentId}`));
    if (weight <= most) continue;
    most = weight;
    best = member;
  }
  return best;
}

function matches(subscription: Subscription, { type, topic }: Envelope): boolean {
  return (subscription.topic === undefined || subscription.topic === topic) && subscription.pattern.matches(type);
}

function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}
