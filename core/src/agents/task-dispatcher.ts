import { fromFailure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { packEnvelope } from "../events/envelope.ts";
import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import {
  type AttemptAge,
  type DispatchOptions,
  isHandOver,
  type TaskAssignment,
  type TaskDispatcher,
} from "../plans/dispatcher.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Timer } from "../runtime.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { AgentLoads } from "./agent-loads.ts";
import { AttachRequests } from "./attach-requests.ts";
import { fenced, isElsewhere, stale, stopped, unanswered } from "./attempt-errors.ts";
import { AttemptSearch } from "./attempt-search.ts";
import { Job } from "./dispatch-job.ts";
import { holdJoin } from "./held-join.ts";
import { PriorityQueue } from "./priority-queue.ts";
import { RecordedNotes } from "./recorded-notes.ts";
import { taskOffer } from "./task-offer.ts";
import {
  type CancelNote,
  type Held,
  type JoinAnswer,
  keyOf,
  type Outcome,
  type ReplyTo,
  readDelegate,
  readHolding,
  readJoin,
  readOfferAnswer,
  readOutcome,
  readProgress,
  readRoom,
  readSuspended,
  type TaskKey,
  taskMethods,
} from "./task-wire.ts";

/** Milliseconds a worker has to answer an offer; it only has to look whether it is busy. */
const offerTimeoutMs = 3_000;
/** Milliseconds a worker that was busy is not asked again, unless it says before that it has room. */
const busyMs = 100;
/** The same for one that did not answer an offer. */
const silentMs = 1_000;

export interface TaskDispatcherOptions {
  readonly node: MeshNode;
  readonly agentId: string;
  readonly log: Logger;
  /** Milliseconds since this planner certainly drove the plan: so old is what it offers of it. */
  readonly unconfirmedMs: (planId: string) => number;
}

/**
 * Gives tasks to live agents: offers to the less busy of two, goes to another when one is busy or leaving, and lets tasks
 * wait in order of priority while all are busy or nobody is there.
 *
 * An attempt runs on one agent at most. Whether one that was lost while it was asked took it cannot be known, so the
 * attempt then ends as `ATTEMPT_LOST`, and the next one is fenced off from it by its number.
 */
export class MeshTaskDispatcher implements TaskDispatcher {
  readonly #o: TaskDispatcherOptions;
  /** Waiting jobs by what they are assigned to, so that one kind of worker being busy holds up no other. */
  readonly #waiting = new Map<string, PriorityQueue<Job>>();
  readonly #jobs = new Map<string, Job>();
  readonly #busy = new Map<string, Timer>();
  readonly #loads: AgentLoads;
  readonly #acknowledgements: Acknowledgements;
  readonly #recorded: RecordedNotes;
  readonly #attach: AttachRequests;
  readonly #search: AttemptSearch;
  readonly #disposables: Disposable[];
  #closed = false;

  constructor(options: TaskDispatcherOptions) {
    this.#o = options;
    const { node, log } = options;
    this.#loads = new AgentLoads(node.balance);
    this.#acknowledgements = new Acknowledgements(node.runtime);
    this.#recorded = new RecordedNotes(node, log);
    this.#attach = new AttachRequests({ node, log, replyTo: () => this.#replyTo() });
    this.#search = new AttemptSearch({
      node,
      attach: this.#attach,
      found: (job, agent, held) => this.#found(job, agent, held),
    });
    this.#disposables = [
      node.directory.onChange(() => this.#directoryChanged()),
      node.rpc.onPeer((address, state, reason) => {
        if (state === "down") this.#lost(address, reason);
      }),
    ];
  }

  /** Tasks that are out, and of these the ones nobody has taken yet. */
  stats(): { readonly tasks: number; readonly queued: number } {
    let queued = 0;
    for (const queue of this.#waiting.values()) queued += queue.size;
    return { tasks: this.#jobs.size, queued };
  }

  dispatch(assignment: TaskAssignment, options: DispatchOptions): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (options.abortedWith) throw options.abortedWith.reason;
      if (this.#closed) throw stopped();
      const job = new Job(keyOf(assignment), assignment, options, {
        resolve: (result) => {
          this.#ended(job);
          resolve(result);
        },
        reject: (error) => {
          this.#ended(job);
          // Its agent may have it all the same, and is told nothing of its end that is not in the log.
          if (!options.abortedWith && !this.#acknowledgements.pending(job.key))
            void this.#acknowledgements.expect(job.key);
          reject(error);
        },
      });
      options.whenAborted((reason) => this.#aborted(job, reason));
      this.#jobs.set(job.key, job);
      if (assignment.resume) this.#search.begin(job, assignment.resume.agentId);
      else {
        this.#queue(assignment.assignedTo).push(job, assignment.priority);
        this.#pumpOne(assignment.assignedTo);
      }
    });
  }

  recorded(taskId: string, attempt: number): void {
    const agent = this.#acknowledgements.acknowledge(keyOf({ taskId, attempt }));
    if (agent) this.#recorded.add(agent, taskId, attempt);
  }

  /** Whether a call or note is one of a worker about its tasks. */
  takes(method: string): boolean {
    return calls.has(method);
  }

  /** A worker's call or note. @throws {SoormaError} `NODE_STOPPED` when the plans are another instance's from now on. */
  onCall(method: string, params: unknown): unknown {
    if (this.#closed) throw stopped();
    switch (method) {
      case taskMethods.result:
        return this.#onResult(params);
      case taskMethods.progress:
        return this.#onProgress(params);
      case taskMethods.holding:
        return this.#onHolding(params);
      case taskMethods.suspended:
        return this.#onSuspended(params);
      case taskMethods.room:
        return this.#onRoom(params);
      case taskMethods.delegate:
        return this.#onDelegate(params);
      case taskMethods.join:
        return this.#onJoin(params);
      default:
        throw new SoormaError("METHOD_UNKNOWN", `no worker calls "${method}" of a planner`);
    }
  }

  /** Lets go of everything. Agents go on with what they have, for whoever drives its plan next. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const disposable of this.#disposables) disposable[Symbol.dispose]();
    for (const timer of this.#busy.values()) timer.cancel();
    this.#attach.close();
    this.#recorded.flush();
    for (const job of [...this.#jobs.values()]) job.reject(stopped());
    this.#acknowledgements.close(stopped());
  }

  /** Resolves when the end of the attempt is in the log: the worker keeps it until then. */
  #onResult(params: unknown): void | Promise<void> {
    const outcome = readOutcome(params);
    const job = this.#jobOf(outcome);
    if (!job) {
      const { taskId, attempt, agentId } = outcome;
      const key = keyOf(outcome);
      const known = this.#acknowledgements.pending(key);
      if (known) return known;
      if (this.#acknowledgements.wasHandedOver(key)) throw fenced(outcome);
      // Nobody waits for it any more.
      this.#o.log.debug("task.result.late", { taskId, attempt, agentId });
      return;
    }
    const acknowledged = this.#acknowledgements.expect(job.key);
    // Begun before this planner drove the plan.
    if (job.assignment.resume) this.#assigned(job, { ms: outcome.ranMs, isOver: true });
    if (outcome.ok) job.resolve(outcome.result);
    else job.reject(fromFailure(outcome.failure));
    return acknowledged;
  }

  #onProgress(params: unknown): void {
    const note = readProgress(params);
    this.#jobOf(note)?.options.onProgress(Math.min(1, Math.max(0, note.fraction)), note.message ?? undefined);
  }

  #onHolding(params: unknown): void {
    const { agentId, attempts } = readHolding(params);
    const held = new Set<string>();
    let agent: AgentRecord | undefined;
    for (const { suspended, epoch, ...one } of attempts) {
      const key = keyOf(one);
      held.add(key);
      const job = this.#jobs.get(key);
      if (job && this.#isAt(job, agentId)) {
        if (job.state === "running") this.#setSuspended(job, suspended);
      } else if (!this.#acknowledgements.pending(key) && !this.#acknowledgements.wasHandedOver(key)) {
        agent ??= this.#o.node.directory.get(agentId);
        if (agent) this.#tellUnwanted(agent, one, epoch, stale(one));
      }
    }
    const missing = this.#loads.jobsAt(agentId).filter((job) => job.state === "running" && !held.has(job.key));
    this.#verify(missing);
  }

  #onSuspended(params: unknown): void {
    const { suspended, order, ...note } = readSuspended(params);
    const job = this.#jobOf(note);
    if (!job || order <= job.order) return;
    job.order = order;
    this.#setSuspended(job, suspended);
  }

  #onRoom(params: unknown): void {
    this.#hasRoom(readRoom(params).agentId);
  }

  async #onDelegate(params: unknown): Promise<void> {
    const { tasks, ...of } = readDelegate(params);
    await this.#wanted(of).options.onDelegate(tasks);
  }

  #onJoin(params: unknown): Promise<JoinAnswer> {
    const { name, ...of } = readJoin(params);
    return holdJoin(this.#wanted(of), name, this.#o.node.runtime);
  }

  /** The job of an attempt that this agent has. What an agent says of it also tells that it took it. */
  #jobOf(of: TaskKey & { readonly agentId: string }): Job | undefined {
    const job = this.#jobs.get(keyOf(of));
    if (!job || !this.#isAt(job, of.agentId)) return undefined;
    // It overtook the answer to the offer, or to who has it.
    if (job.state === "offered") this.#took(job, job.agent);
    else if (job.state === "sought") this.#found(job, job.agent ?? job.asked.find((one) => one.agentId === of.agentId));
    return job.state === "running" ? job : undefined;
  }

  #isAt(job: Job, agentId: string): boolean {
    if (job.agent) return job.agent.agentId === agentId;
    return job.state === "sought" && job.asked.some((agent) => agent.agentId === agentId);
  }

  /** @throws {SoormaError} `ATTEMPT_STALE` if the log says so, `PLAN_FENCED` while that is not certain: it is to ask again. */
  #wanted(of: TaskKey & { readonly agentId: string }): Job {
    const job = this.#jobOf(of);
    if (job) return job;
    const key = keyOf(of);
    throw this.#acknowledgements.wasHandedOver(key) || this.#acknowledgements.pending(key) ? fenced(of) : stale(of);
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

  #choose({ assignment, tried }: Job): AgentRecord | undefined {
    const { directory, balance } = this.#o.node;
    const free = directory
      .assignable(assignment.assignedTo)
      .filter((agent) => !this.#busy.has(agent.agentId) && this.#loads.at(agent.agentId) < agent.concurrency);
    const untried = tried ? free.filter((agent) => !tried.has(agent.agentId)) : free;
    return balance.pick(untried) ?? balance.pick(free);
  }

  async #offer(job: Job, agent: AgentRecord): Promise<void> {
    const { node, log } = this.#o;
    const { assignment } = job;
    job.state = "offered";
    job.agent = agent;
    this.#loads.add(agent, job);
    try {
      const envelope = packEnvelope(this.#offerOf(assignment));
      const answer = readOfferAnswer(
        await node.callAgent(agent, taskMethods.offer, envelope, { timeoutMs: offerTimeoutMs }),
      );
      if (typeof answer === "object") {
        this.#answered(job, agent, answer);
        return;
      }
      // Its result may have come before this answer.
      if (job.state !== "offered") return;
      if (answer === "accepted") {
        this.#took(job, agent);
        return;
      }
      this.#markBusy(agent, busyMs);
    } catch (error) {
      if (job.state !== "offered") return;
      if (isSoormaError(error, "PEER_UNREACHABLE") || isSoormaError(error, "TIMEOUT")) {
        this.#markBusy(agent, silentMs);
        if (error.code === "TIMEOUT" && node.directory.isReachable(agent.address)) {
          this.#seekAt(job, agent, error);
          return;
        }
        // It may have taken it.
        const lostError = unanswered(agent, assignment.name, error);
        this.#tellUnwanted(agent, assignment, assignment.epoch, lostError);
        this.#loads.delete(job);
        job.agent = undefined;
        job.reject(lostError);
        return;
      }
      if (!isElsewhere(error)) {
        job.reject(error);
        return;
      }
      log.debug("task.offer.refused", { taskId: assignment.taskId, agentId: agent.agentId, error });
      job.tried ??= new Set();
      job.tried.add(agent.agentId);
      this.#markBusy(agent, busyMs);
    }
    this.#loads.delete(job);
    job.agent = undefined;
    job.state = "waiting";
    this.#queue(assignment.assignedTo).unshift(job, assignment.priority);
    this.#pumpOne(assignment.assignedTo);
  }

  /** The handler ended before its offer was answered. */
  #answered(job: Job, agent: AgentRecord, outcome: Outcome): void {
    // Handed over meanwhile, its worker offers the result to whoever asks for it; else it is told that nobody does.
    if (job.state === "ended" || job.agent !== agent) return;
    if (job.state === "offered") this.#took(job, agent);
    void this.#acknowledgements.expect(job.key, agent);
    if (outcome.ok) job.resolve(outcome.result);
    else job.reject(fromFailure(outcome.failure));
  }

  /** It took the offer, or did not get it: its thread may be busy with the very task. It says so when it has the thread again. */
  #seekAt(job: Job, agent: AgentRecord, error: SoormaError): void {
    const { taskId, attempt, planId, epoch, name } = job.assignment;
    this.#loads.delete(job);
    job.state = "sought";
    job.options.onAssigned(agent.agentId, agent.name);
    this.#attach.ask(agent, { taskId, attempt, planId, epoch }, (holding) => {
      if (typeof holding === "object") this.#found(job, agent, holding);
      if (job.state !== "sought") return;
      if (holding === "fenced") job.reject(fenced(job.assignment));
      else {
        const lostError = unanswered(agent, name, error);
        this.#tellUnwanted(agent, job.assignment, epoch, lostError);
        // That it does not have this one does not say that it has room.
        job.agent = undefined;
        this.#markBusy(agent, silentMs);
        job.reject(lostError);
      }
    });
  }

  #took(job: Job, agent: AgentRecord | undefined): void {
    job.state = "running";
    if (agent) job.options.onAssigned(agent.agentId, agent.name);
  }

  #assigned({ agent, options }: Job, age: AttemptAge): void {
    if (agent) options.onAssigned(agent.agentId, agent.name, age);
  }

  /** `held`: what the agent said when it was asked; what else it says of the attempt may come before that. */
  #found(job: Job, agent: AgentRecord | undefined, held?: Held): void {
    if (!agent) return;
    if (job.state === "sought") {
      const isNew = job.agent === undefined;
      job.agent = agent;
      job.state = "running";
      job.timer?.cancel();
      this.#loads.add(agent, job);
      this.#setSuspended(job, held?.state === "suspended");
      if (isNew && !held) job.options.onAssigned(agent.agentId, agent.name);
    }
    if (!held || job.state !== "running" || job.agent !== agent) return;
    this.#assigned(job, { ms: held.ranMs, isOver: held.state === "done" });
  }

  /** Asks the agents of these attempts whether they still have them. */
  #verify(jobs: readonly Job[]): void {
    for (const job of jobs) {
      const { agent, assignment } = job;
      if (!agent) continue;
      const { taskId, attempt, planId, epoch, name } = assignment;
      this.#attach.ask(agent, { taskId, attempt, planId, epoch }, (holding) => {
        if (job.state !== "running" || job.agent !== agent) return;
        if (holding === "fenced") job.reject(fenced(assignment));
        if (holding !== "unknown") return;
        job.reject(
          new SoormaError(
            "LEASE_EXPIRED",
            `${agent.name} (${agent.agentId}) does not have attempt ${attempt} at task "${name}" any more`,
            { details: { taskId, attempt, agentId: agent.agentId, ...(job.isSuspended ? { suspended: true } : {}) } },
          ),
        );
      });
    }
  }

  #setSuspended(job: Job, suspended: boolean): void {
    if (job.isSuspended === suspended || !job.agent) return;
    job.isSuspended = suspended;
    this.#loads.setSuspended(job, suspended);
    if (suspended) this.#hasRoom(job.agent.agentId);
  }

  #markBusy(agent: AgentRecord, forMs: number): void {
    this.#busy.get(agent.agentId)?.cancel();
    this.#busy.set(
      agent.agentId,
      this.#o.node.runtime.setTimer(() => this.#hasRoom(agent.agentId), forMs),
    );
  }

  #hasRoom(agentId: string): void {
    const timer = this.#busy.get(agentId);
    if (timer) {
      timer.cancel();
      this.#busy.delete(agentId);
    }
    this.#pump();
  }

  /** The engine does not want the attempt any more, or another one drives its plan. */
  #aborted(job: Job, reason: unknown): void {
    if (job.state === "ended") return;
    if (isHandOver(reason)) this.#acknowledgements.handOver(job.key);
    else {
      const { assignment, agent } = job;
      const asked = agent ? [agent] : job.asked;
      for (const one of asked) this.#tellUnwanted(one, assignment, assignment.epoch, reason);
    }
    job.reject(reason);
  }

  #tellUnwanted(agent: AgentRecord, { taskId, attempt }: TaskKey, epoch: number, reason: unknown): void {
    const { node, log } = this.#o;
    const note: CancelNote = { taskId, attempt, epoch, failure: toFailure(reason, "CANCELLED") };
    node
      .tellAgent(agent, taskMethods.cancel, note)
      .catch((error) => log.debug("task.cancel.failed", { taskId, agentId: agent.agentId, error }));
  }

  #ended(job: Job): void {
    const { agent } = job;
    job.state = "ended";
    job.timer?.cancel();
    this.#loads.delete(job);
    this.#jobs.delete(job.key);
    for (const join of job.joins ?? []) join.abort(stopped());
    // It has room again.
    if (agent && !this.#closed) this.#hasRoom(agent.agentId);
  }

  #directoryChanged(): void {
    const { directory } = this.#o.node;
    // Gone from the directory while its connection lives: only it knows what it still has.
    for (const agentId of this.#loads.agents()) {
      if (!directory.has(agentId)) this.#verify(this.#loads.jobsAt(agentId).filter((job) => job.state === "running"));
    }
    this.#pump();
  }

  #lost(address: string, reason: string): void {
    for (const job of [...this.#jobs.values()]) {
      const { agent, assignment, isSuspended } = job;
      if (job.state !== "running" || agent?.address !== address) continue;
      const { taskId, attempt, name } = assignment;
      job.reject(
        new SoormaError(
          "PEER_UNREACHABLE",
          `${agent.name} (${agent.agentId}) was lost while it ran task "${name}": ${reason}`,
          { details: { taskId, attempt, agentId: agent.agentId, ...(isSuspended ? { suspended: true } : {}) } },
        ),
      );
    }
  }

  #offerOf(assignment: TaskAssignment): Envelope {
    const { node, unconfirmedMs } = this.#o;
    const time = Math.max(0, Math.floor(node.runtime.now() - unconfirmedMs(assignment.planId)));
    return taskOffer(assignment, { id: node.nextId(), time, replyTo: this.#replyTo() });
  }

  #replyTo(): ReplyTo {
    const { node, agentId } = this.#o;
    return { agentId, nodeId: node.nodeId, address: node.address };
  }
}

const calls: ReadonlySet<string> = new Set([
  taskMethods.result,
  taskMethods.progress,
  taskMethods.holding,
  taskMethods.suspended,
  taskMethods.room,
  taskMethods.delegate,
  taskMethods.join,
]);
