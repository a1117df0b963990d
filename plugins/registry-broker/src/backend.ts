import {
  type Address,
  type AgentQuery,
  type AgentRecord,
  type DirectoryChange,
  type Registered,
  type RegisterOptions,
  type RegistryBackend,
  type RegistryDeps,
  type RegistrySupports,
  type RegistryWatch,
  type RenewResult,
  randomId,
  type SchemaQuery,
  type SchemaRecord,
} from "@soorma/core";
import { registryMethods } from "@soorma/core/registry";
import { createBrokerClient } from "./client.ts";
import { BrokerWatch, malformedAnswer, parseNote } from "./watch.ts";

export const supports: RegistrySupports = { leases: true, push: true, schemas: true, writable: true };

export interface BrokerRegistryOptions {
  readonly address: Address;
  readonly timeoutMs: number;
  readonly checkMs: number;
}

/** The registry behind a broker node. One per node: it answers the broker's notes. */
export function createBrokerRegistry(options: BrokerRegistryOptions, deps: RegistryDeps): RegistryBackend {
  const { address, timeoutMs, checkMs } = options;
  const { rpc, runtime, log } = deps;
  const client = createBrokerClient({ rpc, runtime, log, address, timeoutMs });
  const watches = new Map<string, BrokerWatch>();
  let notes: Disposable | undefined;
  let closed = false;

  client.onUp(() => {
    for (const watch of watches.values()) watch.check();
  });

  const call = async <T>(
    method: string,
    params: unknown,
    is: (answer: unknown) => answer is T,
    signal?: AbortSignal,
  ): Promise<T> => {
    const answer = await client.call(method, params, signal);
    if (!is(answer)) throw malformedAnswer(address, method);
    return answer;
  };

  const listen = (): void => {
    notes ??= rpc.handle(registryMethods.change, ({ params, peer }) => {
      const note = parseNote(params);
      if (note) watches.get(note.watchId)?.onNote(note, peer);
      else log.debug("note.malformed", { peer: peer.nodeId });
    });
  };

  const watch = async (listener: (change: DirectoryChange) => void): Promise<RegistryWatch> => {
    const watchId = `w-${randomId(runtime, 12)}`;
    const one = new BrokerWatch({ client, runtime, log, watchId, listener, checkMs });
    if (!closed) listen();
    watches.set(watchId, one);
    const end = async (): Promise<void> => {
      await one.close();
      watches.delete(watchId);
    };
    try {
      await one.start();
    } catch (error) {
      await end();
      throw error;
    }
    return {
      get revision() {
        return one.revision;
      },
      [Symbol.asyncDispose]: end,
    };
  };

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await Promise.all([...watches.values()].map((one) => one.close()));
    watches.clear();
    notes?.[Symbol.dispose]();
    client.close();
  };
  let closing: Promise<void> | undefined;
  const closeOnce = (): Promise<void> => (closing ??= close());

  return {
    supports,
    node: address,
    register: (record: AgentRecord, { leaseMs, signal }: RegisterOptions) =>
      call(registryMethods.register, { record, leaseMs }, isRegistered, signal),
    renew: (agentIds: readonly string[], { leaseMs, signal }: RegisterOptions) =>
      call(registryMethods.renew, { agentIds, leaseMs }, isRenewResult, signal),
    async deregister(agentIds: readonly string[]) {
      await client.call(registryMethods.deregister, { agentIds });
    },
    find: (query: AgentQuery) => call(registryMethods.find, { query }, isList<AgentRecord>),
    watch,
    async putSchema(schema: SchemaRecord) {
      await client.call(registryMethods.putSchema, { schema });
    },
    async getSchema(name: string, version?: string) {
      return (await call(registryMethods.getSchema, { name, version }, isSchemaOrNothing)) ?? undefined;
    },
    querySchemas: (query: SchemaQuery) => call(registryMethods.querySchemas, { query }, isList<SchemaRecord>),
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  };
}

function isRegistered(answer: unknown): answer is Registered {
  return typeof (answer as Partial<Registered> | null)?.revision === "number";
}

function isRenewResult(answer: unknown): answer is RenewResult {
  return Array.isArray((answer as Partial<RenewResult> | null)?.unknown);
}

function isList<T>(answer: unknown): answer is T[] {
  return Array.isArray(answer);
}

function isSchemaOrNothing(answer: unknown): answer is SchemaRecord | null | undefined {
  return answer == null || typeof (answer as Partial<SchemaRecord>).schema === "object";
}
