import { type AnyData, isSoormaError, NonRetryableError, type PlatformContext, type Task, Worker } from "@soorma/core";
import { brokenWorkerMesh } from "../broken.ts";
import { type Ledger, openLedger } from "../ledger.ts";
import { ledgerFolder, meshOf, type Place } from "../setting.ts";

type Handler = (task: Task<AnyData>, context: PlatformContext, ledger: Ledger) => unknown;

export async function workerRole(place: Place): Promise<() => Promise<void>> {
  const { setting, who } = place;
  const ledger = openLedger(ledgerFolder(setting), who);
  const worker = new Worker({
    name: "chaos-worker",
    concurrency: 8,
    mesh: brokenWorkerMesh(meshOf(place), setting.broken),
  });
  for (const [name, handler] of Object.entries(handlers)) worker.onTask(name, recorded(handler, ledger));
  await worker.run();
  return async () => {
    await worker.stop();
    ledger[Symbol.dispose]();
  };
}

const handlers: Readonly<Record<string, Handler>> = {
  "add-one": ({ data, inputs }) => {
    const [before] = Object.values(inputs);
    return { n: (before?.n ?? data.n) + 1 };
  },
  sum: ({ inputs }) => ({ n: Object.values(inputs).reduce((sum: number, { n }) => sum + n, 0) }),
  "fail-first": ({ attempt, data }) => {
    if (attempt === 1) throw new Error("the first attempt always fails");
    return { n: data.a };
  },
  "ask-tool": async ({ data }, context) => await context.bus.request("multiply", data, { timeoutMs: 20_000 }),
  "fail-always": () => {
    throw new NonRetryableError("there is no way to do this");
  },
  charge: async (task, _context, ledger) => {
    const effects: string[] = [];
    for (const key of ["effect-reserve", "effect-charge", "effect-ship"]) {
      effects.push(await task.step(key, () => effect(task, key, ledger)));
      await Bun.sleep(10);
    }
    return { n: task.data.n, effects };
  },
  "take-back": async (task, _context, ledger) => ({
    effect: await task.step("effect-take-back", () => effect(task, "effect-take-back", ledger)),
  }),
  delegate: async (task) => {
    const { numbers } = task.data;
    const parts = await task.delegateAll(numbers.map((n: number) => ({ assignedTo: "add-one", data: { n } })));
    const charged = await task.delegate("charge", { n: 0 });
    return { parts: parts.map(({ n }: { n: number }) => n), charged: charged.effects.length };
  },
  "make-list": ({ data }) => ({ items: Array.from({ length: data.count }, (_, i) => i) }),
  "sum-each": ({ inputs }) => ({ n: inputs.each.reduce((sum: number, { n }: { n: number }) => sum + n, 0) }),
  sleep: async (task) => {
    await task.sleep(task.data.ms);
    return { n: task.data.n };
  },
  "ask-person": async (task) => ({ answer: await task.waitForInput("And now?") }),
  listen: async (task) => {
    const { data } = await task.waitForEvent(`chaos.signal.${task.data.signal}`);
    return { heard: data.value };
  },
  "count-up": ({ name }) => ({ n: Number(name.split("#")[1] ?? 1) }),
  slow: async ({ data, signal, reportProgress }) => {
    for (let i = 0; i < 10 && !signal.aborted; i++) {
      await Bun.sleep(20);
      await reportProgress(i / 10, "on it");
    }
    return { n: data.n };
  },
};

/** Writes into the ledger what happens; the result gets a mark, by which it can be told from one of another attempt. */
function recorded(handler: Handler, ledger: Ledger) {
  return async (task: Task<AnyData>, context: PlatformContext): Promise<unknown> => {
    const { planId, taskId, name, attempt, inputs } = task;
    const key = { planId, taskId, attempt };
    ledger.write({ kind: "begun", ...key, name, inputs });
    try {
      const made = await handler(task, context, ledger);
      const result = { ...(made as object), mark: mark() };
      ledger.write({ kind: "returned", ...key, result });
      return result;
    } catch (error) {
      ledger.write({ kind: "threw", ...key, code: isSoormaError(error) ? error.code : String(error) });
      throw error;
    }
  };
}

/** Changes something outside: what was changed is found in the ledger alone. */
function effect({ planId, taskId, attempt }: Task<AnyData>, key: string, ledger: Ledger): string {
  const value = mark();
  ledger.write({ kind: "effect", planId, taskId, attempt, key, value });
  return value;
}

/** Text that comes once. */
function mark(): string {
  return crypto.randomUUID().slice(0, 13);
}
