import { checkData, type EventContract, type InputOf, type OutputOf, type ToolContract } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { inherit } from "../events/context.ts";
import { checkText, type Envelope } from "../events/envelope.ts";
import { checkType, compilePattern } from "../events/pattern.ts";
import { isTopic, type Topic, topicOf, topics } from "../events/topics.ts";
import type { CallOptions } from "../mesh/rpc.ts";
import type { EventRef } from "../registry/records.ts";
import type { AnyData } from "./any-data.ts";
import type { NodeServices } from "./services.ts";

/** A received event. */
export interface EventMessage<T = unknown> extends Envelope<T> {
  /**
   * Publishes the event its sender asked for with `responseEvent`, with the same correlation id.
   *
   * @throws {SoormaError} `PAYLOAD_INVALID` when the sender asked for none.
   */
  respond(data: unknown): Promise<void>;
}

export type EventHandler<T = unknown> = (event: EventMessage<T>) => unknown;

export interface PublishOptions {
  /** Default: what follows from the type. */
  readonly topic?: Topic;
  readonly subject?: string;
  /** The event type an answer shall have, and its topic. */
  readonly responseEvent?: string;
  readonly responseTopic?: Topic;
  readonly correlationId?: string;
  readonly sessionId?: string;
}

export interface SubscribeOptions {
  /** One member of the group gets each event. Default: every subscriber gets it. */
  readonly group?: string;
  /** Default: whatever topic the event is on. */
  readonly topic?: Topic;
}

export interface BusSubscription extends AsyncDisposable {
  readonly pattern: string;
  unsubscribe(): Promise<void>;
}

/** What was published, to find it again. */
export type Published = Pick<Envelope, "id" | "traceId" | "topic">;

export type RequestOptions = CallOptions;

/** Events and requests. What is sent inside a handler belongs to the message being handled. */
export interface Bus {
  /**
   * Publishes an event to everybody who subscribed. Waits while a subscriber is slow.
   *
   * @throws {SoormaError} `PAYLOAD_INVALID`, `MESSAGE_TOO_LARGE`; `NO_RESPONDER` when no member of a queue group took
   * it; `NODE_STOPPED`.
   */
  publish<C extends EventContract>(event: C, data: InputOf<C>, options?: PublishOptions): Promise<Published>;
  publish(type: string, data: unknown, options?: PublishOptions): Promise<Published>;
  /**
   * Resolves when every live publisher has the subscription: whatever is published from then on arrives.
   */
  subscribe<C extends EventContract>(
    event: C,
    handler: EventHandler<InputOf<C>>,
    options?: SubscribeOptions,
  ): Promise<BusSubscription>;
  subscribe(pattern: string, handler: EventHandler<AnyData>, options?: SubscribeOptions): Promise<BusSubscription>;
  /**
   * Sends a request to one agent that answers that type and resolves with its answer.
   *
   * An agent that is lost before it answered is replaced by another, so a handler may see a request twice.
   *
   * @param options.timeoutMs - Milliseconds until the deadline. Default 5_000, or what is left of the deadline of the
   * message being handled, if that is less.
   * @throws {SoormaError} `TIMEOUT` or `NO_RESPONDER` naming the deadline; what the handler failed with.
   */
  request<C extends ToolContract>(operation: C, data: InputOf<C>, options?: RequestOptions): Promise<OutputOf<C>>;
  request(type: string, data: unknown, options?: RequestOptions): Promise<AnyData>;
}

/** What a bus needs of the agent it belongs to. */
export interface BusOwner {
  readonly agentId: string;
  services(): NodeServices;
  /** Adds to what the agent announces as produced; resolves when those who want it are connected. */
  announce(ref: EventRef): void | Promise<void>;
  addSubscription(
    pattern: string | EventContract,
    handler: EventHandler<never>,
    options: SubscribeOptions,
  ): Promise<BusSubscription>;
  /** Contract an event type was declared with by this agent. */
  contractOf(type: string): EventContract | undefined;
}

export interface EnvelopeInput extends PublishOptions {
  readonly type: string;
  readonly data: unknown;
  readonly goalId?: string;
  readonly schema?: string;
  readonly deadline?: number;
}

/** A new envelope that inherits from the message being handled. */
export function makeEnvelope(owner: Pick<BusOwner, "agentId" | "services">, input: EnvelopeInput): Envelope {
  const { node } = owner.services();
  const id = node.nextId();
  const { type, data, deadline, topic = topicOf(type), responseEvent, responseTopic } = input;
  checkTopic(topic);
  if (responseEvent !== undefined) checkType(responseEvent);
  if (responseTopic !== undefined) checkTopic(responseTopic);
  for (const field of ["subject", "correlationId", "sessionId"] as const)
    if (input[field] !== undefined) checkText(input[field], field, type);
  const inherited = inherit(node.tenantId, node.userId, () => id);
  const envelope: { -readonly [K in keyof Envelope]: Envelope[K] } = {
    ...inherited,
    id,
    source: owner.agentId,
    specversion: "1.0",
    type,
    time: node.runtime.now(),
    topic,
    data,
  };
  // For ever is no deadline.
  if (deadline !== undefined && deadline < Number.POSITIVE_INFINITY)
    envelope.deadline = Math.min(deadline, inherited.deadline ?? deadline);
  if (input.subject !== undefined) envelope.subject = input.subject;
  if (responseEvent !== undefined) envelope.responseEvent = responseEvent;
  if (responseTopic !== undefined) envelope.responseTopic = responseTopic;
  if (input.correlationId !== undefined) envelope.correlationId = input.correlationId;
  if (input.sessionId !== undefined) envelope.sessionId = input.sessionId;
  if (input.goalId !== undefined) envelope.goalId = input.goalId;
  if (input.schema !== undefined) envelope.schema = input.schema;
  return envelope;
}

function checkTopic(topic: unknown): asserts topic is Topic {
  if (isTopic(topic)) return;
  throw new SoormaError("PAYLOAD_INVALID", `${JSON.stringify(topic)} is no topic`, {
    hint: `Topics are ${topics.join(", ")}.`,
  });
}

export function createBus(owner: BusOwner): Bus {
  return {
    async publish(event: string | EventContract, data: unknown, options: PublishOptions = {}) {
      const type = typeof event === "string" ? event : event.name;
      checkType(type);
      const contract = typeof event === "string" ? owner.contractOf(type) : event;
      if (contract) checkData(contract.data, data, `data of event "${type}"`);
      const topic = options.topic ?? contract?.topic ?? topicOf(type);
      const envelope = makeEnvelope(owner, {
        ...options,
        type,
        data,
        topic,
        ...(contract ? { schema: `${contract.name}@${contract.version}` } : {}),
      });
      await owner.announce({ type, topic });
      await owner.services().node.events.publish(envelope);
      const { id, traceId } = envelope;
      return { id, traceId, topic };
    },
    async subscribe(pattern: string | EventContract, handler: EventHandler<never>, options: SubscribeOptions = {}) {
      if (typeof pattern === "string") compilePattern(pattern);
      return await owner.addSubscription(pattern, handler, options);
    },
    async request(operation: string | ToolContract, data: unknown, options: RequestOptions = {}) {
      const type = typeof operation === "string" ? operation : operation.name;
      checkType(type);
      const services = owner.services();
      const { node } = services;
      if (typeof operation !== "string") checkData(operation.input, data, `data of request "${type}"`);
      else {
        const input = node.directory.responders(type)[0]?.operations.find((known) => known.name === type)?.input;
        if (input) await services.check(input, data, `data of request "${type}"`);
      }
      const { envelope, timeoutMs } = requestEnvelope(owner, type, data, options);
      return (await node.request("request", envelope, () => node.directory.responders(type), {
        ...options,
        timeoutMs,
      })) as AnyData;
    },
  };
}

const defaultRequestTimeoutMs = 5_000;

/** The envelope of a request, and the time there is for it: the caller's, or what is left of the handled message's. */
export function requestEnvelope(
  owner: Pick<BusOwner, "agentId" | "services">,
  type: string,
  data: unknown,
  options: CallOptions,
): { envelope: Envelope; timeoutMs: number } {
  const now = owner.services().node.runtime.now();
  const envelope = makeEnvelope(owner, { type, data, deadline: now + (options.timeoutMs ?? defaultRequestTimeoutMs) });
  return { envelope, timeoutMs: Math.max(1, (envelope.deadline ?? Number.POSITIVE_INFINITY) - now) };
}
