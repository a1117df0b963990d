import { isSoormaError } from "../errors.ts";
import type { LogFields, Logger } from "../log.ts";
import type { Registered, RegistryBackend, RegistryWatch } from "../plugin/registry.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost, type Runtime, type Timer } from "../runtime.ts";
import type { DirectoryView } from "./directory-view.ts";

/** Milliseconds a leaving node waits for the registry to take note. */
const farewellMs = 1_000;

export interface MembershipOptions {
  readonly registry: RegistryBackend;
  readonly directory: DirectoryView;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly leaseMs: number;
  readonly renewMs: number;
}

/**
 * Keeps this node's agents in the registry: registers them, renews their leases, and registers them again when the
 * registry forgot them or comes back. That it is away lets only the first registration of an agent fail; later it is tried
 * again for as long as the node lives.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #own = new Map<string, AgentRecord>();
  /** Agents whose first registration failed: the registry may have them all the same, if its answer was lost. */
  readonly #doubtful = new Set<string>();
  /** Agents the registry is not known to have. */
  readonly #missing = new Set<string>();
  /** Of these, those it refuses to have; that is said once. */
  readonly #refused = new Set<string>();
  /** The latest registration of each agent that is under way. */
  readonly #registering = new Map<string, Promise<Registered>>();
  #watch: RegistryWatch | undefined;
  #timer: Timer | undefined;
  #renewing = false;
  #outage = false;
  #closed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Starts feeding the directory view. @throws {SoormaError} `REGISTRY_UNAVAILABLE` */
  async start(): Promise<void> {
    const { registry, directory } = this.#options;
    this.#watch = await registry.watch((change) => {
      directory.apply(change);
      if (change.kind !== "snapshot") {
        // Somebody else's view of us: a lease that ran out while this process was stopped.
        if (change.kind === "down" && this.#own.has(change.agentId) && change.reason !== "left")
          this.#lost([change.agentId]);
        return;
      }
      this.#lost([...this.#own.keys()].filter((id) => !directory.has(id)));
    });
    this.#schedule();
  }

  /**
   * Registers or replaces an agent; resolves with the revision that has it.
   *
   * @throws {SoormaError} `REGISTRY_REFUSED`, which changes nothing; `REGISTRY_UNAVAILABLE`, only if the agent was never
   * registered before.
   */
  async put(record: AgentRecord): Promise<number> {
    const { agentId } = record;
    const known = this.#own.get(agentId);
    if (known) this.#own.set(agentId, record);
    try {
      const { revision } = await this.#register(record);
      if (!known) this.#own.set(agentId, record);
      this.#doubtful.delete(agentId);
      return revision;
    } catch (error) {
      // What the registry has stays what it shall have.
      if (known && !isPassing(error) && this.#own.get(agentId) === record) this.#own.set(agentId, known);
      if (!known && isPassing(error)) this.#doubtful.add(agentId);
      if (!known || !isPassing(error)) throw error;
      this.#warn("register.postponed", { agent: record.name, error });
      this.#missing.add(agentId);
      return this.#options.directory.revision;
    }
  }

  /**
   * One after the other: a call that has to be tried again may come after one that was made later, and what it says of the
   * agent would stand.
   */
  #register(record: AgentRecord): Promise<Registered> {
    const { agentId } = record;
    const { registry, directory, leaseMs } = this.#options;
    const before = this.#registering.get(agentId);
    const isKnown = this.#own.has(agentId);
    const register = async (): Promise<Registered> => {
      // It left while it waited for its turn.
      if (isKnown && !this.#own.has(agentId)) return { revision: directory.revision };
      return await registry.register(record, { leaseMs });
    };
    const registering = (before ? before.then(register, register) : register()).finally(() => {
      if (this.#registering.get(agentId) === registering) this.#registering.delete(agentId);
    });
    this.#registering.set(agentId, registering);
    return registering;
  }

  async remove(agentId: string): Promise<void> {
    const isOwn = this.#own.delete(agentId);
    const isDoubtful = this.#doubtful.delete(agentId);
    if (!isOwn && !isDoubtful) return;
    this.#missing.delete(agentId);
    this.#refused.delete(agentId);
    await this.#deregister([agentId]);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    const left = [...this.#own.keys(), ...this.#doubtful];
    this.#own.clear();
    this.#doubtful.clear();
    if (left.length > 0) await this.#deregister(left);
    await this.#watch?.[Symbol.asyncDispose]();
  }

  /** Says good-bye, without waiting long for a registry that is away: the leases end by themselves. */
  async #deregister(agentIds: readonly string[]): Promise<void> {
    const { registry, runtime } = this.#options;
    const failed = (error: unknown): void => this.#warn("deregister.failed", { agentIds, error });
    const leave = async (): Promise<void> => {
      // What has to be tried again would come after this, and the agent would be there again.
      await Promise.allSettled(agentIds.map((id) => this.#registering.get(id)));
      const gone = agentIds.filter((id) => !this.#own.has(id));
      if (gone.length > 0) await registry.deregister(gone);
    };
    await atMost(runtime, farewellMs, leave().catch(failed));
  }

  /** Calls that end with the node itself are no news. */
  #warn(event: string, fields: LogFields): void {
    if (!this.#closed) this.#options.log.warn(event, fields);
  }

  #lost(agentIds: readonly string[]): void {
    for (const id of agentIds) this.#missing.add(id);
    if (this.#missing.size > 0) void this.#renew();
  }

  #schedule(): void {
    if (this.#closed) return;
    const { runtime, renewMs } = this.#options;
    // Up to a tenth earlier, so that the nodes of a mesh do not all renew at one moment.
    const delay = renewMs * (1 - runtime.random() * 0.1);
    this.#timer = runtime.setTimer(() => void this.#renew().finally(() => this.#schedule()), delay, {
      background: true,
    });
  }

  async #renew(): Promise<void> {
    if (this.#renewing || this.#closed || this.#own.size === 0) return;
    this.#renewing = true;
    const { registry, leaseMs, log } = this.#options;
    try {
      const ids = [...this.#own.keys()].filter((id) => !this.#missing.has(id));
      if (ids.length > 0) {
        const { unknown } = await registry.renew(ids, { leaseMs });
        for (const id of unknown) this.#missing.add(id);
      }
      for (const id of [...this.#missing]) {
        const record = this.#own.get(id);
        if (record && !(await this.#registerAgain(record))) continue;
        this.#missing.delete(id);
      }
      if (this.#outage) log.info("registry.back");
      this.#outage = false;
    } catch (error) {
      if (!this.#outage) this.#warn("registry.unavailable", { error });
      this.#outage = true;
    } finally {
      this.#renewing = false;
    }
  }

  /** False if the registry refuses this one, which is no reason to keep the others from it. */
  async #registerAgain(record: AgentRecord): Promise<boolean> {
    const { agentId, name: agent } = record;
    try {
      await this.#register(record);
    } catch (error) {
      if (isPassing(error)) throw error;
      if (!this.#refused.has(agentId)) this.#warn("register.refused", { agent, agentId, error });
      this.#refused.add(agentId);
      return false;
    }
    this.#refused.delete(agentId);
    this.#options.log.info("registered.again", { agent, agentId });
    return true;
  }
}

/** The registry is away, or its disk is full: the record is not at fault, and it will have it later. */
function isPassing(error: unknown): boolean {
  return isSoormaError(error) && (error.code === "REGISTRY_UNAVAILABLE" || error.code.startsWith("STORE_"));
}
