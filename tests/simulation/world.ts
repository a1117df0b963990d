import { createLogger, isSoormaError, type Logger, silentLogger } from "@soorma/core";
import {
  type FakeRuntime,
  fakeRuntime,
  type SimulatedDisk,
  SimulatedProcess,
  simulatedDisk,
} from "@soorma/core/testing";
import { createHub, type Hub } from "@soorma/transport-inproc";
import { chanceOf, seedOf } from "./chance.ts";
import { type GoalRecord, Ledger } from "./ledger.ts";
import type { Break, Role, Running } from "./surroundings.ts";
import { brief, Trace } from "./trace.ts";

/** How long a connection that nothing comes through is believed in. As the ZeroMQ transport's heartbeats are set. */
const heartbeatMs = 1_000;

/** A process that stopped may have timers for as long as this; what is left then is a leak. */
const lingerMs = 2_500;

/** A supervisor starts again what ended by itself after this. */
const restartMs = 300;

export interface WorldOptions {
  readonly seed: number;
  readonly trace?: (line: string) => void;
  readonly broken?: Break;
}

/** A place where a process of one role runs, one after the other. */
export interface Member {
  readonly name: string;
  readonly role: Role;
  readonly goals: { readonly atMs: number; readonly record: GoalRecord }[];
  process: SimulatedProcess | undefined;
  running: Running | undefined;
  starts: number;
  nodeId: string | undefined;
}

/** The machines, disks and network of one seed, and who runs on them. */
export class World {
  readonly seed: number;
  readonly runtime: FakeRuntime;
  readonly hub: Hub;
  readonly ledger = new Ledger();
  readonly trace: Trace;
  readonly members = new Map<string, Member>();
  /** Pairs of hosts that nothing gets through between, one way, by the fault that cut them. */
  readonly cuts = new Map<object, readonly (readonly [string, string])[]>();
  readonly #disks = new Map<string, SimulatedDisk>();
  readonly #options: WorldOptions;
  /** There are no more faults. */
  isHealed = false;
  /** Nothing is started any more. */
  #closing = false;
  /** Until when clients do things of their own accord. */
  untilMs = 0;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.runtime = fakeRuntime({ seed: seedOf(options.seed, "world") });
    this.hub = createHub({ runtime: this.runtime, heartbeatMs });
    this.trace = new Trace(() => this.runtime.elapsedMs, options.trace);
  }

  get elapsedMs(): number {
    return this.runtime.elapsedMs;
  }

  add(name: string, role: Role): Member {
    const member: Member = {
      name,
      role,
      goals: [],
      process: undefined,
      running: undefined,
      starts: 0,
      nodeId: undefined,
    };
    this.members.set(name, member);
    return member;
  }

  member(name: string): Member {
    const member = this.members.get(name);
    if (!member) throw new TypeError(`no member ${name}`);
    return member;
  }

  disk(name: string): SimulatedDisk {
    let disk = this.#disks.get(name);
    if (!disk) {
      disk = simulatedDisk({
        runtime: this.runtime,
        flushMs: [0.05, 4],
        lies: this.#options.broken === "flush",
      });
      this.#disks.set(name, disk);
    }
    return disk;
  }

  process(name: string, start: number, clockOffsetMs: number, onCrash: () => void): SimulatedProcess {
    return new SimulatedProcess({
      name,
      world: this.runtime,
      seed: seedOf(this.seed, `${name} ${start}`),
      clockOffsetMs,
      sites: this.trace.reading,
      onCrash,
      onEffect: (of, effect, what, bytes) => this.trace.effect(of, effect, what, bytes),
      onError: (of, error) => this.ledger.violated(`uncaught in ${of.name}: ${brief(error)}`),
    });
  }

  /** Ends a process that stopped, once nothing of it waits any more. */
  async end(process: SimulatedProcess): Promise<void> {
    const untilMs = this.elapsedMs + lingerMs;
    while (process.alive && process.pending > 0 && this.elapsedMs < untilMs) {
      await new Promise<void>((resolve) => void this.runtime.setTimer(resolve, 25));
    }
    this.trace.say(process.name, "ended");
    for (const site of process.pendingSites) this.trace.show(process.name, `left a timer: ${site}`);
    if (process.pending > 0) this.ledger.violated(`${process.name} stopped and left ${process.pending} timers behind`);
    process.crash();
  }

  /** Has a member run, now and whenever it ended. */
  start(member: Member, clockOffsetMs = 0): void {
    if (this.#closing || member.process?.alive) return;
    member.starts++;
    const process = this.process(member.name, member.starts, clockOffsetMs, () => this.#crashed(member));
    member.process = process;
    member.running = undefined;
    this.trace.say(member.name, `starts (${member.starts})`);
    void this.#run(member, process);
  }

  /** Ends a member as SIGKILL does; it is started again `afterMs` later. */
  crash(member: Member, afterMs: number): void {
    this.runtime.setTimer(() => this.start(member), afterMs);
    member.process?.crash();
  }

  /** Ends a member as SIGTERM does, and starts it again. */
  async restart(member: Member): Promise<void> {
    const { process, running } = member;
    if (!process?.alive || !running) return;
    this.trace.say(member.name, "is stopped");
    // Until it is there again nothing has come to rest.
    member.running = undefined;
    try {
      await running.stop();
      await this.end(process);
    } catch (error) {
      // Its disk is full, say: the process ends with an error.
      this.trace.say(member.name, `did not stop cleanly: ${brief(error)}`);
      if (!isSoormaError(error)) this.ledger.violated(`${member.name} did not stop: ${brief(error)}`);
      process.crash();
    }
    if (member.process === process) this.start(member, process.clockOffsetMs);
  }

  /** Ends every member cleanly, in an order in which nobody has to wait. */
  async stopAll(order: readonly string[]): Promise<void> {
    this.#closing = true;
    for (const name of order) {
      const member = this.member(name);
      const { process, running } = member;
      if (!process?.alive || !running) continue;
      await running.stop();
      await this.end(process);
    }
  }

  cut(fault: object, ways: readonly (readonly [string, string])[]): void {
    this.cuts.set(fault, ways);
    for (const [from, to] of ways) this.hub.cut(from, to);
  }

  heal(fault: object): void {
    if (!this.cuts.delete(fault)) return;
    this.hub.heal();
    for (const ways of this.cuts.values()) for (const [from, to] of ways) this.hub.cut(from, to);
  }

  async #run(member: Member, process: SimulatedProcess): Promise<void> {
    try {
      const running = await member.role({
        process,
        hub: this.hub,
        log: this.#log(process),
        ledger: this.ledger,
        elapsedMs: () => this.runtime.elapsedMs,
        disk: (name) => this.disk(name),
        seed: this.seed,
        goals: member.goals,
        untilMs: this.untilMs,
        broken: this.#options.broken,
      });
      if (process.alive) member.running = running;
      this.trace.say(member.name, "is ready");
    } catch (error) {
      if (!process.alive) return;
      this.trace.say(member.name, `could not start: ${brief(error)}`);
      process.crash();
      this.runtime.setTimer(() => this.start(member), restartMs);
    }
  }

  #crashed(member: Member): void {
    this.trace.say(member.name, "is gone");
    member.running = undefined;
    for (const id of this.hub.nodeIdsOf(member.name)) this.hub.crash(id);
    if (member.name === "broker" || member.name === "state") this.disk(member.name).crash();
  }

  #log(process: SimulatedProcess): Logger {
    if (!this.trace.reading) return silentLogger;
    return createLogger({
      sink: (line) => this.trace.log(process.name, line),
      now: process.runtime.now,
      level: "debug",
    });
  }
}

export function machineChance(world: World, part: string) {
  return chanceOf(seedOf(world.seed, part));
}
