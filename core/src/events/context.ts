import { AsyncLocalStorage } from "node:async_hooks";
import type { Correlation } from "./envelope.ts";

/** The message being handled, as far as what is sent meanwhile inherits from it. */
export interface HandlingContext extends Correlation {
  /** Id of the message being handled. */
  readonly id: string;
}

const storage = new AsyncLocalStorage<HandlingContext>();

/** Runs `body` so that everything it publishes, requests, stores or dispatches belongs to `context`. */
export function runWith<T>(context: HandlingContext, body: () => T): T {
  return storage.run(context, body);
}

/** The message being handled by the current call chain, if any. */
export function currentContext(): HandlingContext | undefined {
  return storage.getStore();
}

/** What a message sent now inherits. `fresh` makes the ids of a message that nothing caused. */
export function inherit(tenantId: string, userId: string | undefined, fresh: () => string): Correlation {
  const current = storage.getStore();
  if (!current) {
    const traceId = fresh();
    return { traceId, correlationId: traceId, tenantId, hops: 0, ...(userId === undefined ? {} : { userId }) };
  }
  const { id, traceId, correlationId, sessionId, goalId, planId, taskId, attempt, deadline, hops } = current;
  const user = current.userId ?? userId;
  return {
    traceId,
    correlationId,
    parentId: id,
    // The node's own identity, never the message's claim.
    tenantId,
    hops: hops + 1,
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(user === undefined ? {} : { userId: user }),
    ...(goalId === undefined ? {} : { goalId }),
    ...(planId === undefined ? {} : { planId }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(attempt === undefined ? {} : { attempt }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}
