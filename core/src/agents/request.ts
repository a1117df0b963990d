import { checkData } from "../contracts.ts";
import { isSoormaError, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import type { AnyData } from "./any-data.ts";
import type { PlatformContext } from "./context.ts";

/** A request being handled. */
export interface Request<T = unknown> extends Envelope<T> {
  /** Aborts when the caller gave up or its deadline passed. */
  readonly signal: AbortSignal;
}

export type RequestHandler<T = unknown, R = unknown> = (
  request: Request<T>,
  context: PlatformContext,
) => R | Promise<R>;

/** The signal exists only for handlers that look at it: making one for each request would cost a third of the request. */
class HandledRequest {
  readonly #call: Pick<RpcCall, "signal">;

  constructor(envelope: Envelope, call: Pick<RpcCall, "signal">) {
    Object.assign(this, envelope);
    this.#call = call;
  }

  get signal(): AbortSignal {
    return this.#call.signal;
  }
}

export function withSignal(envelope: Envelope, call: Pick<RpcCall, "signal">): Request<AnyData> {
  return new HandledRequest(envelope, call) as unknown as Request<AnyData>;
}

/** Checks what a handler returned. A wrong result is the handler's fault, and trying again makes no better one. */
export function checkResult(schema: object, result: unknown, what: string): void {
  try {
    checkData(schema, result, what);
  } catch (error) {
    if (!isSoormaError(error, "PAYLOAD_INVALID")) throw error;
    throw new SoormaError("PAYLOAD_INVALID", error.message, {
      ...(error.details ? { details: error.details } : {}),
      retryable: false,
      hint: "The handler returned something its contract does not allow.",
    });
  }
}
