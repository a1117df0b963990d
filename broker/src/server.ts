import {
  type Address,
  type AgentRecord,
  isSoormaError,
  type Logger,
  type Registered,
  type RenewResult,
  type Rpc,
  type RpcCall,
  type Runtime,
  randomId,
  type SchemaRecord,
  SoormaError,
  type Timer,
} from "@soorma/core";
import { Wakefulness } from "@soorma/core/mesh";
import {
  checkImmutable,
  findSchemas,
  parseAgentIds,
  parseAgentQuery,
  parseAgentRecord,
  parseLeaseMs,
  parseSchemaQuery,
  parseSchemaRecord,
  pickSchema,
  type RegistryStatus,
  refused,
  registryMethods,
  type WatchAnswer,
} from "@soorma/core/registry";
import type { Store } from "@soorma/core/store";
import { createDirectory, type DirectoryEvent } from "./directory.ts";
import { createBrokerStore } from "./store.ts";
import { createWatchers } from "./watchers.ts";

export interface BrokerOptions {
  /** The node the broker answers as; it has to be started. */
  readonly rpc: Rpc;
  /** Closed by whoever opened it, after the broker. */
  readonly store: Store;
  readonly runtime: Runtime;
  readonly log: Logger;
  /**
   * Milliseconds. The lease of an agent that asks for none, and the least time that agents known before a restart of the
   * broker have to show up again. Default 10_000.
   */
  readonly leaseMs?: number;
  /** Default 100_000. */
  readonly maxAgents?: number;
  /** Versions of all schemas together. Default 100_000. */
  readonly maxSchemas?: number;
}

export interface Broker extends AsyncDisposable {
  status(): RegistryStatus;
  /** Stops answering; what was acknowledged is on disk. The agents stay known for the next start. Twice is fine. */
  close(): Promise<void>;
}

/** The timer fired this late: the broker itself did not run, and what came meanwhile is to be read first. */
const stalledMs = 500;
/** Milliseconds that a link has to come up again which broke when the broker itself had not run for a while. */
const doubtMs = 2_000;

/**
 * Answers the calls of {@link registryMethods} on a node.
 *
 * Knows again who and what was in the store. Whatever parameters are sent, the answer to wrong ones is an error and
 * nothing else happens.
 *
 * @throws {SoormaError} `STORE_*` when the store cannot be read or written.
 */
export async function createBroker(options: BrokerOptions): Promise<Broker> {
  const { rpc, runtime, log, leaseMs = 10_000, maxAgents = 100_000, maxSchemas = 100_000 } = options;
  const now = (): number => runtime.monotonic();
  const startedAt = now();
  const epoch = randomId(runtime);
  const store = createBrokerStore(options.store, log);
  const remembered = await store.load();
  const directory = createDirectory({
    revision: remembered.revision,
    restored: { agents: remembered.agents, now: now(), graceMs: leaseMs },
  });
  const schemas = new Map<string, Map<string, SchemaRecord>>();
  let schemaCount = 0;
  const watchers = createWatchers({
    rpc,
    log,
    epoch,
    now,
    revision: () => directory.revision,
    records: (tenant) => directory.find(tenant === undefined ? {} : { tenant }),
  });
  const links = new Map<Address, Disposable>();
  /** Links that may have broken at this end. */
  const doubted = new Map<Address, Timer>();
  const awake = new Wakefulness(runtime, { always: true });
  let linkedUp = new Set<Address>();
  let timer: Timer | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  let closed = false;

  const keepSchema = (schema: SchemaRecord): void => {
    const versions = schemas.get(schema.name);
    if (versions) versions.set(schema.version, schema);
    else schemas.set(schema.name, new Map([[schema.version, schema]]));
    schemaCount++;
  };

  const link = (address: Address): void => {
    if (links.has(address)) return;
    try {
      links.set(address, rpc.link(address));
    } catch (error) {
      // An address this transport cannot use. The agent's lease still says whether it lives.
      log.warn("link.failed", { address, error });
    }
    // This very process; it runs, so the agents in it do.
    if (address === rpc.address) directory.linkUp(address);
  };

  const unlink = (address: Address): void => {
    links.get(address)?.[Symbol.dispose]();
    links.delete(address);
    linkedUp.delete(address);
    believe(address);
  };

  const believe = (address: Address): void => {
    doubted.get(address)?.cancel();
    doubted.delete(address);
  };

  /** Tells everybody about changes and brings the disk and the links in line with them. */
  const announce = (events: readonly DirectoryEvent[]): void => {
    if (events.length === 0) return;
    for (const { change, previous } of events) {
      if (change.kind === "down") {
        store.deleteAgent(change.agentId);
        const fields = { agentId: change.agentId, name: previous?.name, reason: change.reason };
        if (change.reason === "left") log.info("agent.left", fields);
        else log.warn(`agent.${change.reason}`, fields);
      } else {
        const leased = directory.get(change.record.agentId);
        if (leased) store.putAgent(leased);
        if (change.kind === "up") log.info("agent.up", { agentId: change.record.agentId, name: change.record.name });
        link(change.record.address);
      }
      if (previous && !directory.hasAddress(previous.address)) unlink(previous.address);
    }
    watchers.push(events);
  };

  /** For changes nobody waits for; the next flush tries again what failed. */
  const announceUnasked = (events: readonly DirectoryEvent[]): void => {
    if (events.length === 0) return;
    announce(events);
    store.flush(directory.revision).catch((error) => log.error("store.failed", { error }));
  };

  /** Cheap, for every call: looking at all agents is left to the sweep. */
  const wakeBy = (at: number | undefined): void => {
    if (!closed && at !== undefined && at < timerAt) arm(at);
  };

  const arm = (at: number, patient = true): void => {
    timer?.cancel();
    timerAt = at;
    const sweep = (): void => {
      timerAt = Number.POSITIVE_INFINITY;
      if (patient && now() - at > stalledMs) {
        arm(now() + stalledMs / 2, false);
        return;
      }
      announceUnasked(directory.expire(now()));
      wakeBy(directory.nextExpiry());
    };
    timer = runtime.setTimer(sweep, Math.max(0, Math.ceil(at - now())), { background: true });
  };

  const onPeer = rpc.onPeer((address, state, reason) => {
    if (state === "up") {
      if (!links.has(address)) return;
      linkedUp.add(address);
      believe(address);
      directory.linkUp(address);
      return;
    }
    linkedUp.delete(address);
    log.debug("peer.down", { address, reason });
    watchers.dropPeer(address);
    const crashed = (): void => {
      believe(address);
      announceUnasked(directory.linkDown(address));
    };
    if (awake.isCertain()) {
      crashed();
      return;
    }
    // Who heard nothing of a broker that was stopped has given up the connection, too.
    if (doubted.has(address) || !directory.linkDoubted(address, now())) return;
    log.debug("peer.doubted", { address, reason });
    doubted.set(address, runtime.setTimer(crashed, doubtMs, { background: true }));
    wakeBy(directory.nextExpiry());
  });

  for (const schema of remembered.schemas) keepSchema(schema);
  for (const address of [...directory.addresses()]) link(address);

  const methods: Readonly<Record<string, (params: Params, call: RpcCall) => unknown>> = {
    async [registryMethods.register](params): Promise<Registered> {
      const record = parseAgentRecord(params.record);
      const lease = params.leaseMs == null ? leaseMs : parseLeaseMs(params.leaseMs);
      if (directory.size >= maxAgents && !directory.get(record.agentId)) {
        throw new SoormaError("OVERLOADED", `the registry has ${directory.size} agents, which is its limit`);
      }
      const { revision, events } = directory.register(record, lease, now());
      announce(events);
      wakeBy(now() + lease);
      await store.flush(directory.revision);
      return { revision };
    },
    [registryMethods.renew](params): RenewResult {
      const agentIds = parseAgentIds(params.agentIds);
      const lease = params.leaseMs == null ? leaseMs : parseLeaseMs(params.leaseMs);
      const outcome = directory.renew(agentIds, lease, now());
      wakeBy(now() + lease);
      return outcome;
    },
    async [registryMethods.deregister](params): Promise<null> {
      announce(directory.deregister(parseAgentIds(params.agentIds)));
      await store.flush(directory.revision);
      return null;
    },
    [registryMethods.find]: (params): AgentRecord[] => directory.find(parseAgentQuery(params.query)),
    [registryMethods.watch](params, { peer }): WatchAnswer {
      return watchers.watch(peer, {
        watchId: label(params.watchId, "watchId"),
        ...(params.tenant == null ? {} : { tenant: label(params.tenant, "tenant") }),
        ...(params.epoch == null ? {} : { epoch: label(params.epoch, "epoch") }),
      });
    },
    [registryMethods.unwatch](params, { peer }): null {
      watchers.unwatch(peer, label(params.watchId, "watchId"));
      return null;
    },
    async [registryMethods.putSchema](params): Promise<null> {
      const wanted = parseSchemaRecord(params.schema);
      const known = schemas.get(wanted.name)?.get(wanted.version);
      checkImmutable(known, wanted);
      if (!known) {
        if (schemaCount >= maxSchemas) {
          throw new SoormaError("OVERLOADED", `the registry has ${schemaCount} schema versions, which is its limit`);
        }
        keepSchema(wanted);
        store.putSchema(wanted);
      } else if (wanted.description !== undefined && wanted.description !== known.description) {
        const improved = { ...known, description: wanted.description };
        schemas.get(wanted.name)?.set(wanted.version, improved);
        store.putSchema(improved);
      }
      await store.flush(directory.revision);
      return null;
    },
    [registryMethods.getSchema](params): SchemaRecord | null {
      const { name, version } = parseSchemaQuery({ name: params.name, version: params.version });
      if (name === undefined) throw refused("name", "is missing");
      return pickSchema(schemas.get(name) ?? new Map(), version) ?? null;
    },
    [registryMethods.querySchemas]: (params): SchemaRecord[] => findSchemas(schemas, parseSchemaQuery(params.query)),
    [registryMethods.status]: (): RegistryStatus => status(),
  };

  const status = (): RegistryStatus => ({
    nodeId: rpc.nodeId,
    epoch,
    revision: directory.revision,
    agents: directory.size,
    schemas: schemaCount,
    watchers: watchers.size,
    linked: linkedUp.size,
    uptimeMs: Math.round(now() - startedAt),
  });

  const handled = Object.entries(methods).map(([method, answer]) =>
    rpc.handle(method, async (call) => {
      try {
        const result = await answer(paramsOf(call.params), call);
        wakeBy(directory.heard(call.peer.nodeId, now()));
        return result;
      } catch (error) {
        if (!isSoormaError(error)) log.error("call.failed", { method, peer: call.peer.nodeId, error });
        else log.debug("call.refused", { method, peer: call.peer.nodeId, code: error.code, message: error.message });
        throw error;
      }
    }),
  );
  wakeBy(directory.nextExpiry());
  log.info("broker.started", { agents: directory.size, schemas: schemaCount, revision: directory.revision });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    closed = true;
    timer?.cancel();
    awake.close();
    onPeer[Symbol.dispose]();
    for (const handler of handled) handler[Symbol.dispose]();
    watchers.close();
    for (const address of [...links.keys()]) unlink(address);
    linkedUp = new Set();
    await store.flush(directory.revision);
    log.info("broker.stopped");
  };

  return {
    status,
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

type Params = Readonly<Record<string, unknown>>;

function paramsOf(value: unknown): Params {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refused("the call", "carries no parameters object");
  }
  return value as Params;
}

function label(value: unknown, path: string): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 256) return value;
  throw refused(path, "must be text of 1 to 256 characters");
}
