import type { CallOptions } from "./mesh/rpc.ts";

/** Capability by which the node that keeps memory and tracker is found. */
export const stateCapability = "soorma.state";

/**
 * How the clients of memory and tracker reach whichever node keeps the state now.
 *
 * One attempt a call: retrying is the client's business, because only it knows what may be repeated.
 */
export interface StateCaller {
  /**
   * @throws {SoormaError} `NO_RESPONDER` when no state node is known within the timeout; what {@link Rpc.call} throws.
   */
  call<Result>(method: string, params: unknown, options?: CallOptions): Promise<Result>;
  /** Notes the state node sends: entries of a watched plan. */
  onNote(method: string, listener: (params: unknown) => void): Disposable;
  /** Called when a state node is there (again) after it was lost; watches then start over. */
  onReconnect(listener: () => void): Disposable;
  /** Aborts with `NODE_STOPPED` when there will be no answers any more: nobody has to pause for the next attempt. */
  readonly closed: AbortSignal;
}
