import type { InputOf, OutputOf, ToolContract } from "../contracts.ts";
import { Agent } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import type { RequestHandler } from "./request.ts";

/** An agent of stateless operations that anybody may invoke. */
export class Tool extends Agent {
  readonly kind = "tool";

  /**
   * Registers an operation: what the handler returns is its result, what it throws the caller's error.
   *
   * An operation may run twice for one call, when the instance that ran it first is lost: it should change nothing.
   */
  onInvoke<C extends ToolContract>(operation: C, handler: RequestHandler<InputOf<C>, OutputOf<C>>): this;
  onInvoke(operation: string, handler: RequestHandler<AnyData>): this;
  onInvoke(operation: string | ToolContract, handler: RequestHandler<AnyData>): this {
    return typeof operation === "string" ? this.onRequest(operation, handler) : this.onRequest(operation, handler);
  }
}
