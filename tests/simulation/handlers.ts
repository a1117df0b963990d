import { NonRetryableError, type RetryPolicy, sleep, type Task, type Worker } from "@soorma/core";
import type { Act, Behaviour, Returned } from "./ledger.ts";
import type { Surroundings } from "./surroundings.ts";

/** Teaches a worker to do what a script's tasks say, and to tell the ledger of it. */
export function doScripts(agent: Worker, { process, ledger, elapsedMs }: Surroundings): void {
  let runs = 0;
  const life = `${process.name}.${Math.floor(process.runtime.random() * 1e6)}`;

  const act = async (task: Task<Behaviour>, one: Act): Promise<unknown> => {
    const { runtime } = process;
    switch (one.do) {
      case "work":
        await sleep(runtime, one.ms, task.signal);
        return undefined;
      case "step": {
        let key = one.name;
        const value = await task.step(one.name, async () => {
          const made = `${task.taskId}/${one.name}/${life}/${++runs}`;
          // Whoever is dead has no effects.
          if (process.alive) {
            const { taskId, attempt } = task;
            ledger.effect({ taskId, key, attempt, value: made, atMs: elapsedMs(), process: life });
          }
          await sleep(runtime, one.ms, task.signal);
          return made;
        });
        key = one.name;
        if (process.alive) ledger.stepped(task.taskId, key, value, elapsedMs());
        return value;
      }
      case "delegate": {
        if (one.atOnce) {
          return await task.delegateAll(one.tasks.map((data) => ({ assignedTo: "work", data, ...howOf(data) })));
        }
        const results: unknown[] = [];
        for (const data of one.tasks) results.push(await task.delegate("work", data, howOf(data)));
        return results;
      }
      case "sleep":
        await task.sleep(one.ms);
        return undefined;
      case "input":
        return await task.waitForInput("what now?");
      case "event":
        return ((await task.waitForEvent(one.type)).data as { value: unknown }).value;
      case "progress":
        await task.reportProgress(one.fraction);
        return undefined;
      case "throw":
        if (task.attempt < one.until) throw new Error(`scripted to throw: ${task.name}`);
        return undefined;
      case "hang":
        if (task.attempt < one.until) await sleep(runtime, 10_000_000, task.signal);
        return undefined;
      case "fatal":
        throw new NonRetryableError(`scripted to fail: ${task.name}`);
    }
  };

  agent.onTask("work", async (task: Task<Behaviour>): Promise<Returned> => {
    const { planId, taskId, attempt, inputs } = task;
    const token = `${taskId}/${attempt}/${life}/${++runs}`;
    if (process.alive) {
      ledger.runs.push({ planId, taskId, attempt, process: life, startedMs: elapsedMs(), inputs, token });
    }
    const values: unknown[] = [];
    for (const one of task.data.acts) values.push((await act(task, one)) ?? null);
    return { token, values, ...(task.data.returns === undefined ? {} : { returns: task.data.returns }) };
  });

  agent.onTask("undo", async (task: Task<{ readonly of: string }>) => {
    await sleep(process.runtime, 5, task.signal);
    if (process.alive) ledger.undone.push({ planId: task.planId, of: task.data.of, atMs: elapsedMs() });
    return { undone: task.data.of };
  });
}

/** How a task that does so is tried. An attempt that hangs has to end before it is known to. */
export function howOf({ acts }: Behaviour): { readonly retry: RetryPolicy; readonly timeoutMs?: number } {
  if (!acts.some((act) => act.do === "hang")) return { retry: patient };
  const workMs = acts.reduce((sum, act) => sum + ("ms" in act ? act.ms : 0), 0);
  return { retry: patient, timeoutMs: 3_000 + workMs };
}

/** Retries that outlast every fault: only what a script wants to fail does. */
export const patient = { maxAttempts: 60, backoffMs: 20, maxBackoffMs: 500 } as const;
