import type { HandlingContext } from "../events/context.ts";
import type { Envelope } from "../events/envelope.ts";

/** A handler of an agent that is about to run. */
export interface HandlerRun {
  readonly agentId: string;
  readonly agentName: string;
  readonly kind: "task" | "request" | "event" | "goal" | "transition" | "complete";
  /** The task's name; the type of the request, event or goal. */
  readonly name: string;
  /** Of a task: what its planner assigned it to. */
  readonly assignedTo?: string;
  readonly data: unknown;
  /** The ids of what is being handled. */
  readonly context: HandlingContext;
}

/** Sees what the agents of one node do: for whoever tests or records them. */
export interface NodeObserver {
  /** Has to call `body` once, at once, and to return what it returns. */
  handle<R>(run: HandlerRun, body: () => R): R;
  /** What stands in for an object that handlers call to wait for something: a task, the services. */
  view<T extends object>(given: T): T;
  /** An agent of the node publishes an event. */
  published(event: Envelope): void;
}
