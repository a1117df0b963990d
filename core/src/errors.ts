import { findUnpackable } from "./plans/packable.ts";

/** Every failure this toolkit raises on purpose. A code is never renamed or reused; `ERRORS.md` lists them for users. */
export const errorCodes = {
  // transport
  TRANSPORT_CLOSED: { retryable: false, means: "the transport was closed before or during the call" },
  TRANSPORT_UNSUPPORTED: { retryable: false, means: "this platform cannot run the transport" },
  ADDRESS_INVALID: { retryable: false, means: "an address is not one this transport understands" },
  ADDRESS_IN_USE: { retryable: false, means: "another process listens there" },
  PEER_UNREACHABLE: { retryable: true, means: "the peer is gone or did not answer the connection" },
  MESSAGE_TOO_LARGE: { retryable: false, means: "the message is larger than the mesh allows" },
  MESSAGE_MALFORMED: { retryable: false, means: "a message is not what the protocol says" },
  // calls over the mesh
  TIMEOUT: { retryable: true, means: "no answer came before the deadline" },
  NO_RESPONDER: { retryable: true, means: "nobody in the mesh answers that" },
  METHOD_UNKNOWN: { retryable: false, means: "the peer has no such method" },
  HANDLER_FAILED: { retryable: true, means: "the handler threw" },
  HOPS_EXCEEDED: { retryable: false, means: "a message was passed on too often: agents call each other in a circle" },
  CANCELLED: { retryable: false, means: "the caller or the user cancelled it" },
  OVERLOADED: { retryable: true, means: "the peer takes no more work now" },
  NODE_STOPPED: { retryable: true, means: "the node is stopping or has stopped" },
  // contracts
  PAYLOAD_INVALID: { retryable: false, means: "the data does not match its schema, or cannot be sent" },
  SCHEMA_INVALID: { retryable: false, means: "a schema, its name or its version is not usable" },
  SCHEMA_CONFLICT: { retryable: false, means: "that schema version exists with other content" },
  // discovery
  REGISTRY_UNAVAILABLE: { retryable: true, means: "the registry cannot be reached" },
  REGISTRY_REFUSED: { retryable: false, means: "the registry refused the record or the query" },
  MESH_NOT_FOUND: { retryable: true, means: "no running mesh was found" },
  // plans
  PLAN_INVALID: { retryable: false, means: "the planner returned tasks that cannot be run" },
  PLAN_CONFLICT: { retryable: true, means: "someone else changed the plan first" },
  PLAN_FENCED: { retryable: false, means: "another planner instance drives the plan by now" },
  PLAN_NOT_FOUND: { retryable: false, means: "no such plan" },
  GOAL_FAILED: { retryable: false, means: "the goal's plan failed" },
  TASK_FAILED: { retryable: true, means: "the task's handler failed" },
  TASK_UNASSIGNABLE: { retryable: true, means: "no live agent takes the task" },
  ATTEMPT_LOST: { retryable: true, means: "no agent has the attempt any more" },
  ATTEMPT_STALE: { retryable: false, means: "the attempt is not the task's current one any more" },
  LEASE_EXPIRED: { retryable: true, means: "the agent did not say in time that it still works at the task" },
  BUDGET_EXCEEDED: { retryable: false, means: "the plan used up the tasks or the time it may take" },
  TEMPLATE_UNRESOLVED: { retryable: false, means: "a template names something that is not there" },
  PLAN_REFUSED: { retryable: false, means: "the plan's or the task's state does not allow that" },
  DEPENDENCY_FAILED: { retryable: false, means: "a task this one depends on failed" },
  // storage
  VERSION_CONFLICT: { retryable: true, means: "the record changed since it was read" },
  KEY_INVALID: { retryable: false, means: "a key is empty, too long or not text" },
  STORE_UNAVAILABLE: { retryable: true, means: "the state node cannot be reached" },
  STORE_READ_ONLY: { retryable: false, means: "the store's folder cannot be written" },
  STORE_CORRUPT: { retryable: false, means: "the store's file is damaged" },
  STORE_FULL: { retryable: false, means: "the disk or the store's size limit is full" },
  STORE_FAILED: { retryable: false, means: "the store failed in a way it does not know" },
  STORE_LOCKED: { retryable: false, means: "another process owns the store" },
  STORE_CLOSED: { retryable: false, means: "the store was closed before the call" },
  // recordings
  RECORDING_INVALID: { retryable: false, means: "the file is no recording this version can read" },
  CALL_NOT_RECORDED: { retryable: false, means: "a stub was asked for what its recording does not hold" },
  // plugins and configuration
  PLUGIN_NOT_FOUND: { retryable: false, means: "no package provides the plugin" },
  PLUGIN_INVALID: { retryable: false, means: "the package's default export is not a plugin of that kind" },
  PLUGIN_OPTIONS_INVALID: { retryable: false, means: "the plugin's options do not match its schema" },
  CONFIG_INVALID: { retryable: false, means: "the configuration is not usable" },
} as const satisfies Record<string, { retryable: boolean; means: string }>;

export type ErrorCode = keyof typeof errorCodes;

export interface SoormaErrorOptions {
  readonly cause?: unknown;
  /** What the reader can do next; one sentence. */
  readonly hint?: string;
  /** Machine-readable facts: numbers, paths, ids. Must survive msgpack. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Overrides the code's default. */
  readonly retryable?: boolean;
}

/**
 * A failure Soorma raises on purpose.
 *
 * The message says what was attempted, on what, and what stopped it, with the numbers; `hint` says what to do.
 */
export class SoormaError extends Error {
  override readonly name: string = "SoormaError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: SoormaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
    this.retryable = options.retryable ?? errorCodes[code].retryable;
  }
}

/** Thrown by a handler to say that trying again cannot help. */
export class NonRetryableError extends Error {
  override readonly name: string = "NonRetryableError";
}

/** By name and code, not `instanceof`: two installed copies of core must still agree. */
export function isSoormaError(error: unknown, code?: ErrorCode): error is SoormaError {
  return (
    error instanceof Error &&
    error.name === "SoormaError" &&
    "code" in error &&
    (code === undefined || error.code === code)
  );
}

/** The one shape a failure has on the wire and in the tracker. Never a stack. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Turns whatever a handler threw into a {@link Failure}; `fallback` is the code for what is no SoormaError. */
export function toFailure(error: unknown, fallback: ErrorCode = "HANDLER_FAILED"): Failure {
  if (isSoormaError(error)) {
    return {
      code: error.code,
      message: error.message,
      retryable: error.retryable,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      // A failure has to arrive, whatever its author put in there.
      ...(error.details === undefined || findUnpackable(error.details, "details") ? {} : { details: error.details }),
    };
  }
  if (error instanceof Error) {
    const retryable = error.name !== "NonRetryableError" && errorCodes[fallback].retryable;
    const message =
      error.name === "Error" || error.name === "NonRetryableError" ? error.message : `${error.name}: ${error.message}`;
    return { code: fallback, message, retryable };
  }
  return { code: fallback, message: `handler threw ${describe(error)}`, retryable: errorCodes[fallback].retryable };
}

/** The error a caller sees for a {@link Failure} that came over the wire. */
export function fromFailure(failure: Failure, cause?: unknown): SoormaError {
  const code: ErrorCode = Object.hasOwn(errorCodes, failure.code) ? (failure.code as ErrorCode) : "HANDLER_FAILED";
  return new SoormaError(code, failure.message, {
    retryable: failure.retryable,
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    ...(failure.details === undefined ? {} : { details: failure.details }),
    ...(cause === undefined ? {} : { cause }),
  });
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 200));
  return value === null ? "null" : typeof value;
}
