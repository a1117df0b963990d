import { fromFailure, isSoormaError, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { packEnvelope } from "../events/envelope.ts";
import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { DispatchOptions, TaskAssignment, TaskDispatcher } from "../plans/dispatcher.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Timer } from "../runtime.ts";
import { PriorityQueue } from "./priority-queue.ts";
import { type OfferAnswer, type OfferedTask, readOutcome, readProgress, taskMethods } from "./task-wire.ts";

/** Milliseconds a worker has to answer an offer; it only has to look whether it is busy. */
const offerTimeoutMs = 5_000;

/** Milliseconds a worker that was busy is not asked again, unless it finishes something for this planner before. */
const busyMs = 100;

interface Job {
  readonly assignment: TaskAssignment;
  readonly options: DispatchOptions;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Agents lost while they were asked; asked last. */
  readonly tried: Set<string>;
  state: "waiting" | "offered" | "running" | "ended";
  agent: AgentRecord | undefined;
  outstanding: Disposable | undefined;
}

export interface TaskDispatcherOptions {
  readonly node: MeshNode;
  readonly agentId: string;
  readonly log: Logger;
}

/**
 * Gives tasks to live agents: offers to the less busy of two, goes to another when one is busy or lost, and lets tasks
 * wait in order of priority while all are busy or nobody is there.
 */
export class MeshTaskDispatcher implements TaskDispatcher {
  readonly #o: TaskDispatcherOptions;
  /** Waiting jobs by what they are assigned to, so that one kind of worker being busy holds up no other. */
  readonly #waiting = new Map<string, PriorityQueue<Job>>();
  readonly #jobs = new Map<string, Job>();
  readonly #busy = new Map<string, Timer>();
  readonly #disposables: Disposable[];
  #closed = false;

  constructor(options: TaskDispatcherOptions) {
    this.#o = options;
    const { node } = options;
    this.#disposables = [
      node.directory.onChange(() => this.#pump()),
      node.rpc.onPeer((address, state, reason) => {
        if (state === "down") this.#lost(address, reason);
      }),
    ];
  }

  dispatch(assignment: TaskAssignment, options: DispatchOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      options.signal.throwIfAborted();
      if (this.#closed) throw new SoormaError("NODE_STOPPED", "the planner has stopped");
      const onAbort = (): void => this.#cancel(job);
      options.signal.addEventListener("abort", onAbort, { once: true });
      const end = (): void => {
        options.signal.removeEventListener("abort", onAbort);
        this.#end(job);
      };
      const job: Job = {
        assignment,
        options,
        resolve: (result) => {
          end();
          resolve(result);
        },
        reject: (error) => {
          end();
          reject(error);
        },
        tried: new Set(),
        state: "waiting",
        agent: undefined,
        outstanding: undefined,
      };
      this.#jobs.set(keyOf(assignment), job);
      this.#queue(assignment.assignedTo).push(job, assignment.priority);
      this.#pumpOne(assignment.assignedTo);
    });
  }

  /** A worker's outcome. Returning acknowledges it: what nobody waits for any more is acknowledged too. */
  onResult(params: unknown): void {
    const outcome = readOutcome(params);
    const job = this.#jobs.get(keyOf(outcome));
    if (!job || job.agent?.agentId !== outcome.agentId) {
      this.#o.log.debug("task.result.late", {
        taskId: outcome.taskId,
        attempt: outcome.attempt,
        agentId: outcome.agentId,
      });
      return;
    }
    // It overtook the answer to the offer; who did the task is known all the same.
    if (job.state === "offered") job.options.onAssigned(job.agent.agentId, job.agent.name);
    if (outcome.ok) job.resolve(outcome.result);
    else job.reject(fromFailure(outcome.failure));
  }

  onProgress(params: unknown): void {
    const { fraction, message, agentId, ...key } = readProgress(params);
    const job = this.#jobs.get(keyOf(key));
    if (job?.agent?.agentId === agentId)
      job.options.onProgress(Math.min(1, Math.max(0, fraction)), message ?? undefined);
  }

  close(): void {
    this.#closed = true;
    for (const disposable of this.#disposables) disposable[Symbol.dispose]();
    for (const timer of this.#busy.values()) timer.cancel();
    for (const job of [...this.#jobs.values()]) job.reject(new SoormaError("NODE_STOPPED", "the planner has stopped"));
  }

  #queue(assignedTo: string): PriorityQueue<Job> {
    let queue = this.#waiting.get(assignedTo);
    if (!queue) {
      queue = new PriorityQueue();
      this.#waiting.set(assignedTo, queue);
    }
    return queue;
  }

  #pump(): void {
    for (const assignedTo of [...this.#waiting.keys()]) this.#pumpOne(assignedTo);
  }

  #pumpOne(assignedTo: string): void {
    const queue = this.#waiting.get(assignedTo);
    while (queue && queue.size > 0 && !this.#closed) {
      const job = queue.peek();
      if (job?.state === "ended") {
        queue.pop();
        continue;
      }
      if (!job) break;
      const agent = this.#choose(job);
      if (!agent) return;
      queue.pop();
      void this.#offer(job, agent);
    }
    if (queue?.size === 0) this.#waiting.delete(assignedTo);
  }

  #choose(job: Job): AgentRecord | undefined {
    const { node } = this.#o;
    const free = node.directory
      .assignable(job.assignment.assignedTo)
      .filter((agent) => !this.#busy.has(agent.agentId) && node.balance.outstanding(agent.agentId) < agent.concurrency);
    return node.balance.pick(free.filter((agent) => !job.tried.has(agent.agentId))) ?? node.balance.pick(free);
  }

  async #offer(job: Job, agent: AgentRecord): Promise<void> {
    const { node, log } = this.#o;
    const { assignment } = job;
    job.state = "offered";
    job.agent = agent;
    job.outstanding = node.balance.begin(agent.agentId);
    try {
      const envelope = packEnvelope(this.#envelope(assignment));
      const answer = await node.callAgent<OfferAnswer>(agent, taskMethods.offer, envelope, {
        timeoutMs: offerTimeoutMs,
      });
      // Its result may have come before this answer.
      if (job.state !== "offered") return;
      if (answer === "accepted") {
        job.state = "running";
        job.options.onAssigned(agent.agentId, agent.name);
        return;
      }
      this.#markBusy(agent);
    } catch (error) {
      if (job.state !== "offered") return;
      if (!isElsewhere(error)) {
        job.reject(error);
        return;
      }
      log.debug("task.offer.failed", { taskId: assignment.taskId, agentId: agent.agentId, error });
      job.tried.add(agent.agentId);
      if (isSoormaError(error, "TIMEOUT")) this.#tellCancelled(job);
      this.#markBusy(agent);
    }
    job.outstanding[Symbol.dispose]();
    job.outstanding = undefined;
    job.agent = undefined;
    job.state = "waiting";
    this.#queue(assignment.assignedTo).unshift(job, assignment.priority);
    this.#pumpOne(assignment.assignedTo);
  }

  #markBusy(agent: AgentRecord): void {
    this.#busy.get(agent.agentId)?.cancel();
    this.#busy.set(
      agent.agentId,
      this.#o.node.runtime.setTimer(() => {
        this.#busy.delete(agent.agentId);
        this.#pump();
      }, busyMs),
    );
  }

  #cancel(job: Job): void {
    this.#tellCancelled(job);
    job.reject(job.options.signal.reason);
  }

  #tellCancelled(job: Job): void {
    const { node, log } = this.#o;
    const { taskId, attempt } = job.assignment;
    if (!job.agent) return;
    node
      .tellAgent(job.agent, taskMethods.cancel, { taskId, attempt })
      .catch((error) => log.debug("task.cancel.failed", { taskId, error }));
  }

  #end(job: Job): void {
    const agent = job.agent;
    job.state = "ended";
    job.outstanding?.[Symbol.dispose]();
    this.#jobs.delete(keyOf(job.assignment));
    if (!agent || this.#closed) return;
    // It has room again.
    this.#busy.get(agent.agentId)?.cancel();
    this.#busy.delete(agent.agentId);
    this.#pump();
  }

  #lost(address: string, reason: string): void {
    for (const job of [...this.#jobs.values()]) {
      if (job.state !== "running" || job.agent?.address !== address) continue;
      const { name } = job.assignment;
      job.reject(
        new SoormaError(
          "PEER_UNREACHABLE",
          `${job.agent.name} (${job.agent.agentId}) was lost while it ran task "${name}": ${reason}`,
        ),
      );
    }
  }

  #envelope(assignment: TaskAssignment): Envelope {
    const { node, agentId } = this.#o;
    const { origin, taskId, planId, attempt, name, assignedTo, data, inputs, timeoutMs, priority, deadline } =
      assignment;
    const task: OfferedTask = {
      taskId,
      planId,
      attempt,
      name,
      assignedTo,
      data,
      inputs,
      priority,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      replyTo: { agentId, nodeId: node.nodeId, address: node.address },
    };
    return {
      id: node.nextId(),
      source: agentId,
      specversion: "1.0",
      type: taskMethods.offer,
      time: node.runtime.now(),
      topic: "task-events",
      data: task,
      traceId: origin.traceId,
      correlationId: origin.correlationId,
      // A goal's id is the id of the message that submitted it.
      parentId: origin.goalId,
      tenantId: origin.tenantId,
      goalId: origin.goalId,
      planId,
      taskId,
      attempt,
      hops: (origin.hops ?? 0) + 1,
      ...(origin.sessionId === undefined ? {} : { sessionId: origin.sessionId }),
      ...(origin.userId === undefined ? {} : { userId: origin.userId }),
      ...(deadline === undefined ? {} : { deadline }),
    };
  }
}

/** True when an offer failed because of the agent asked, so that another one may be asked. */
function isElsewhere(error: unknown): boolean {
  return (
    isSoormaError(error, "PEER_UNREACHABLE") ||
    isSoormaError(error, "TIMEOUT") ||
    isSoormaError(error, "NODE_STOPPED") ||
    (isSoormaError(error, "NO_RESPONDER") && error.retryable)
  );
}

function keyOf({ taskId, attempt }: { readonly taskId: string; readonly attempt: number }): string {
  return `${taskId} ${attempt}`;
}
