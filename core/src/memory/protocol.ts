import { Type } from "../schema.ts";
import type { SearchHit } from "./contract.ts";

/** Most bytes of values in one answer; what is left comes with the next call. Far below the mesh's message limit. */
export const pageBytes = 4 * 1024 * 1024;

export const memoryMethods = {
  store: "memory.store",
  entry: "memory.entry",
  delete: "memory.delete",
  list: "memory.list",
  search: "memory.search",
} as const;

/** Who asks. Set by the node, not by the agent's code. */
export const identity = {
  tenant: Type.String({ minLength: 1, maxLength: 128 }),
  user: Type.Optional(Type.String({ maxLength: 256 })),
};

const version = Type.Integer({ minimum: 0 });
const operationId = Type.Optional(Type.String({ minLength: 1, maxLength: 64 }));

export const memoryParams = {
  store: Type.Object({
    ...identity,
    key: Type.String(),
    value: Type.Unknown(),
    ttlMs: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    ifVersion: Type.Optional(version),
    operationId,
  }),
  entry: Type.Object({ ...identity, key: Type.String() }),
  delete: Type.Object({ ...identity, key: Type.String(), ifVersion: Type.Optional(version), operationId }),
  list: Type.Object({
    ...identity,
    prefix: Type.String({ maxLength: 1024 }),
    limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 })),
    after: Type.Optional(Type.String({ maxLength: 1024 })),
  }),
  search: Type.Object({
    ...identity,
    query: Type.String({ maxLength: 10_000 }),
    limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1_000 })),
    prefix: Type.Optional(Type.String({ maxLength: 1024 })),
    minScore: Type.Optional(Type.Number()),
    skip: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
} as const;

/** A page of an answer that may be too large for one message. */
export interface Page<T> {
  readonly items: readonly T[];
  /** More would follow, had there been room. */
  readonly more: boolean;
}

/** Asks for page after page until there are `limit` hits, or no more. */
export async function allHits<T>(
  limit = 10,
  ask: (limit: number, skip: number) => Promise<Page<SearchHit<T>>>,
): Promise<SearchHit<T>[]> {
  // By key: what is written between two pages may move a hit into the next one, too.
  const hits = new Map<string, SearchHit<T>>();
  for (let skip = 0; ; ) {
    const page = await ask(limit - hits.size, skip);
    for (const hit of page.items) if (!hits.has(hit.key)) hits.set(hit.key, hit);
    skip += page.items.length;
    if (!page.more || hits.size >= limit) return Array.from(hits.values());
  }
}
