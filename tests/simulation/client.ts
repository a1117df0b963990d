import { Client, isSoormaError, type PlanEntry, sleep } from "@soorma/core";
import { chanceOf, seedOf } from "./chance.ts";
import type { GoalRecord } from "./ledger.ts";
import { drainMs, meshOf, type Role, type Surroundings } from "./surroundings.ts";

/** Submits scripted goals and follows them; writes to memory, counts and asks a tool on the side. */
export const client: Role = async (surroundings) => {
  const agent = await Client.connect({ name: surroundings.process.name, mesh: meshOf(surroundings), drainMs });
  const life = new ClientLife(surroundings, agent);
  life.begin();
  return {
    async stop() {
      life.end();
      await agent.stop();
    },
  };
};

/** What one process of a client does, until it is stopped or killed. */
class ClientLife {
  readonly #s: Surroundings;
  readonly #agent: Client;
  readonly #stopping = new AbortController();
  readonly #chance: ReturnType<typeof chanceOf>;

  constructor(surroundings: Surroundings, agent: Client) {
    this.#s = surroundings;
    this.#agent = agent;
    this.#chance = chanceOf(seedOf(surroundings.seed, `${surroundings.process.name} at ${surroundings.elapsedMs()}`));
  }

  begin(): void {
    const { goals, process, ledger } = this.#s;
    const all = [...goals.map((goal) => this.#goal(goal)), this.#write(), this.#count(), this.#ask()];
    for (const one of all) one.catch((error) => ledger.violated(`${process.name} threw ${String(error)}`));
  }

  end(): void {
    this.#stopping.abort();
  }

  get #isOver(): boolean {
    return this.#stopping.signal.aborted || !this.#s.process.alive;
  }

  /** What passes without trouble of the mesh, again and again until it does; undefined when it is over. */
  async #until<T>(call: () => Promise<T>): Promise<T | undefined> {
    while (!this.#isOver) {
      try {
        const value = await call();
        return this.#isOver ? undefined : value;
      } catch (error) {
        if (!isSoormaError(error)) throw error;
        if (error.code === "PLAN_NOT_FOUND" || error.code === "PLAN_INVALID") return undefined;
      }
      await this.#pause(200);
    }
    return undefined;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(this.#s.process.runtime, ms, this.#stopping.signal).catch(() => {});
  }

  async #goal({ atMs, record }: { readonly atMs: number; readonly record: GoalRecord }): Promise<void> {
    const { elapsedMs } = this.#s;
    if (record.refused !== undefined) return;
    if (record.planId === undefined) {
      await this.#pause(Math.max(0, atMs - elapsedMs()));
      if (!this.#isOver) await this.#submit(record);
    }
    if (record.planId !== undefined && record.answers.length === 0) await this.#follow(record, record.planId);
  }

  async #submit(record: GoalRecord): Promise<void> {
    const { script } = record;
    const { id, type = "sim.goal", tasks, budget, data } = script;
    try {
      const run = await this.#agent.submitGoal(type, { ...data, id, tasks, ...(budget ? { budget } : {}) });
      if (this.#isOver) return;
      record.acceptedMs = this.#s.elapsedMs();
      record.planId = run.planId;
      if (script.cancelAfterMs !== undefined) void this.#cancelLater(record, () => run.cancel("scripted"));
    } catch (error) {
      if (!isSoormaError(error)) throw error;
      if (!this.#isOver) record.refused = error.code;
    }
  }

  async #cancelLater(record: GoalRecord, cancel: () => Promise<void>): Promise<void> {
    await this.#pause(record.script.cancelAfterMs ?? 0);
    if (this.#isOver) return;
    record.cancelled = true;
    await this.#until(cancel);
  }

  /** Pauses a plan, and lets it go on for as long as it does not. */
  async #pauseAndResume(record: GoalRecord, planId: string, pauseAfterMs: number): Promise<void> {
    const { tracker } = this.#agent;
    if (!record.paused) {
      await this.#pause(pauseAfterMs);
      if (this.#isOver || record.answers.length > 0) return;
      record.paused = true;
      await this.#until(() => tracker.pausePlan(planId, "scripted"));
      await this.#pause(this.#chance.between(0, 2_000));
    }
    while (!this.#isOver && record.answers.length === 0) {
      await this.#until(() => tracker.resumePlan(planId));
      await this.#pause(2_000);
    }
  }

  /** Follows a plan until its end is known, whatever happens on the way, and tells its tasks what they wait for. */
  async #follow(record: GoalRecord, planId: string): Promise<void> {
    const { ledger, process, elapsedMs } = this.#s;
    const { pauseAfterMs } = record.script;
    if (pauseAfterMs !== undefined) void this.#pauseAndResume(record, planId, pauseAfterMs);
    const told = new Set<string>();
    while (!this.#isOver && record.answers.length === 0) {
      try {
        for await (const entry of this.#agent.tracker.watch(planId, { signal: this.#stopping.signal })) {
          if (this.#isOver) return;
          if (entry.type === "task.signalled") told.add(`${entry.taskId} ${entry.key}`);
          else if (entry.type === "task.waiting") void this.#tell(record, planId, entry, told);
        }
        const { status, result, failure } = await this.#agent.tracker.getPlan(planId);
        if (this.#isOver) return;
        if (ends.includes(status)) ledger.answered(record, status, result ?? failure?.code, elapsedMs(), process.name);
      } catch (error) {
        if (!isSoormaError(error)) throw error;
      }
      await this.#pause(200);
    }
  }

  /** Tells a waiting task what it waits for, until it has it. */
  async #tell(
    record: GoalRecord,
    planId: string,
    { taskId, key, on }: Extract<PlanEntry, { type: "task.waiting" }>,
    told: ReadonlySet<string>,
  ): Promise<void> {
    if (on.kind === "sleep") return;
    const { ledger, process } = this.#s;
    const { tracker, bus } = this.#agent;
    for (let n = 1; ; n++) {
      await this.#pause(n === 1 ? this.#chance.between(20, 1_500) : 1_000);
      if (this.#isOver || record.answers.length > 0 || told.has(`${taskId} ${key}`)) return;
      const value = `${on.kind}/${process.name}/${taskId}/${key}/${n}`;
      const of = ledger.told.get(planId) ?? new Set();
      ledger.told.set(planId, of.add(value));
      try {
        if (on.kind === "input") await tracker.answer(planId, value, { taskId, key });
        else await bus.publish(on.pattern, { value });
      } catch (error) {
        if (!isSoormaError(error)) throw error;
      }
    }
  }

  async #write(): Promise<void> {
    const { ledger, process, elapsedMs, untilMs } = this.#s;
    const { memory } = this.#agent;
    const key = `sim:${process.name}`;
    const register = ledger.registers.get(key) ?? { acknowledged: 0, tried: 0 };
    ledger.registers.set(key, register);
    while (!this.#isOver && elapsedMs() < untilMs) {
      const value = ++register.tried;
      try {
        await memory.store(key, value);
        if (this.#isOver) return;
        register.acknowledged = value;
        const read = (await memory.retrieve<number>(key)) ?? 0;
        if (this.#isOver) return;
        if (read !== value) ledger.violated(`${process.name} wrote ${value} to memory and read ${read}`);
      } catch (error) {
        if (!isSoormaError(error)) throw error;
      }
      await this.#pause(this.#chance.between(200, 3_000));
    }
  }

  /** Adds one to what all clients count together. */
  async #count(): Promise<void> {
    const { ledger, elapsedMs, untilMs } = this.#s;
    const { memory } = this.#agent;
    while (!this.#isOver && elapsedMs() < untilMs) {
      let isUnknown = false;
      try {
        const entry = await memory.entry<number>("sim:counter");
        if (this.#isOver) return;
        ledger.counter.unknown++;
        isUnknown = true;
        await memory.store("sim:counter", (entry?.value ?? 0) + 1, { ifVersion: entry?.version ?? 0 });
        if (this.#isOver) return;
        ledger.counter.unknown--;
        ledger.counter.acknowledged++;
      } catch (error) {
        if (!isSoormaError(error)) throw error;
        if (isUnknown && !this.#isOver && error.code === "VERSION_CONFLICT") ledger.counter.unknown--;
      }
      await this.#pause(this.#chance.between(500, 4_000));
    }
  }

  async #ask(): Promise<void> {
    const { ledger, elapsedMs, untilMs } = this.#s;
    while (!this.#isOver && elapsedMs() < untilMs) {
      const [a, b] = [this.#chance.whole(0, 1_000), this.#chance.whole(0, 1_000)];
      const ms = this.#chance.between(0, 20);
      try {
        const { sum } = await this.#agent.bus.request("sim.add", { a, b, ms }, { timeoutMs: 3_000 });
        if (sum !== a + b) ledger.violated(`${a} + ${b} was answered ${sum}`);
        ledger.requests.answered++;
      } catch (error) {
        if (!isSoormaError(error)) throw error;
        ledger.requests.failed++;
      }
      await this.#pause(this.#chance.between(500, 4_000));
    }
  }
}

const ends: readonly string[] = ["completed", "failed", "cancelled"];
