import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AnyData, Client, type GoalRun, isSoormaError } from "@soorma/core";
import { type Outcome, openLedger, readLedger } from "../ledger.ts";
import { createRandom } from "../random.ts";
import { drainFile, ledgerFolder, meshOf, type Place } from "../setting.ts";
import { shapeOf, shapes } from "../shapes/index.ts";

/**
 * Submits goals of all shapes and waits for their answers, those accepted by whoever was in this place before included.
 * Ends once it shall submit no more and has every answer.
 */
export async function clientRole(place: Place): Promise<() => Promise<void>> {
  const { setting, who } = place;
  const folder = ledgerFolder(setting);
  using startUp = new DisposableStack();
  const ledger = startUp.use(openLedger(folder, who));
  const before = readLedger(join(folder, `${who}.jsonl`));
  const client = await Client.connect({ name: who, mesh: meshOf(place) });
  const random = createRandom(`${setting.seed}/${who}/${process.pid}`);
  const stopping = new AbortController();
  const { signal } = stopping;
  startUp.move();

  const follow = async (shape: string, data: AnyData, run: GoalRun<AnyData>): Promise<void> => {
    const steering = shapeOf(shape)
      .steer?.({ run, client, data, signal })
      .catch((error) => {
        // Whoever steers may come too late, or be away; what counts is how the goal ends.
        if (!isSoormaError(error) && !signal.aborted) throw error;
      });
    const outcome = await answerOf(run, signal);
    if (outcome) ledger.write({ kind: "answered", planId: run.planId, outcome });
    await steering;
  };

  const submit = async (): Promise<void> => {
    while (!signal.aborted && !existsSync(drainFile(setting))) {
      const shape = random.pick(shapes);
      const data = shape.data(random);
      let run: GoalRun<AnyData>;
      try {
        run = await client.submitGoal(shape.goal, data, { timeoutMs: 5_000, responseEvent: "chaos.answered", signal });
      } catch (error) {
        if (!isSoormaError(error) && !signal.aborted) throw error;
        await Bun.sleep(50);
        continue;
      }
      ledger.write({ kind: "accepted", planId: run.planId, shape: shape.goal, data });
      await follow(shape.goal, data, run);
      await Bun.sleep(random.between(0, setting.restMs));
    }
  };

  const answered = new Set(before.flatMap((line) => (line.kind === "answered" ? [line.planId] : [])));
  const left = before.filter((line) => line.kind === "accepted").filter(({ planId }) => !answered.has(planId));
  const everything = Promise.all([
    ...left.map(async ({ shape, data, planId }) => follow(shape, data, await client.attach(planId))),
    ...Array.from({ length: setting.inFlight }, submit),
  ]);
  const ended = everything.then(async () => {
    await client.stop();
    ledger[Symbol.dispose]();
  });
  return async () => {
    stopping.abort(new Error("the client was told to stop"));
    await ended;
  };
}

/** How the goal ended, whatever has to be waited for; `undefined` when the signal aborted. */
async function answerOf(run: GoalRun<AnyData>, signal: AbortSignal): Promise<Outcome | undefined> {
  while (!signal.aborted) {
    try {
      return { status: "completed", result: await run.result({ signal }) };
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isSoormaError(error)) throw error;
      // An outage of the state node that outlasted the patience of one call: the goal goes on, and is asked for again.
      if (error.code === "STORE_UNAVAILABLE") continue;
      return { status: error.code === "CANCELLED" ? "cancelled" : "failed", code: error.code, message: error.message };
    }
  }
  return undefined;
}
