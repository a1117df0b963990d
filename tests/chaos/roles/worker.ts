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

/** Text that comes once. */
export function mark(): string {
  return crypto.randomUUID().slice(0, 13);
}
