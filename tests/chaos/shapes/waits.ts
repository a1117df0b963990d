import { isSoormaError } from "@soorma/core";
import { completedWith, type Shape, type Steering } from "./shape.ts";

/** The plan sleeps, and then a worker does. */
export const sleeping: Shape = {
  goal: "chaos.sleeping",
  data: (random) => ({ n: random.between(0, 100), ms: random.between(10, 1_500) }),
  plan(planner) {
    planner.onGoal("chaos.sleeping", ({ data }) => ({
      tasks: [
        { name: "nap", wait: { kind: "sleep", ms: data.ms } },
        { name: "worker", assignedTo: "sleep", data, dependsOn: ["nap"] },
      ],
    }));
  },
  judge: completedWith(
    ({ n }) => n,
    (result) => result.worker.n,
  ),
};

/** A person is asked, by the plan and by a worker. */
export const asking: Shape = {
  goal: "chaos.asking",
  data: (random) => ({ value: random.between(0, 1_000) }),
  plan(planner) {
    planner.onGoal("chaos.asking", ({ data }) => ({
      tasks: [
        { name: "plan", wait: { kind: "input", prompt: "How much?" } },
        { name: "worker", assignedTo: "ask-person", data, dependsOn: ["plan"] },
      ],
    }));
  },
  judge: completedWith(
    ({ value }) => [value, value + 1],
    (result) => [result.plan, result.worker.answer],
  ),
  async steer({ run, client, data, signal }) {
    for await (const { entry } of run.progress({ signal })) {
      if (entry.type !== "task.waiting" || entry.on.kind !== "input") continue;
      const { taskId, key } = entry;
      const value = key === "wait" ? data.value : data.value + 1;
      // Whoever was in this client's place before may have answered that.
      const answer = () => client.tracker.answer(run.planId, value, { taskId, key });
      await insist(signal, answer).catch((error) => {
        if (!isSoormaError(error)) throw error;
      });
    }
  },
};

/** A worker waits for an event, and while it does the plan is paused and goes on. */
export const listening: Shape = {
  goal: "chaos.listening",
  data: (random) => ({ signal: `s${random.between(0, 1e9).toString(36)}`, value: random.between(0, 1_000) }),
  plan(planner) {
    planner.onGoal("chaos.listening", ({ data }) => ({
      tasks: [
        { name: "worker", assignedTo: "listen", data },
        { name: "after", assignedTo: "add-one", data: { n: data.value }, dependsOn: ["worker"] },
      ],
    }));
  },
  judge: completedWith(
    ({ value }) => [value, value + 1],
    (result) => [result.worker.heard, result.after.n],
  ),
  async steer(steering) {
    await Promise.all([publishUntilHeard(steering), pauseOnce(steering)]);
  },
};

async function publishUntilHeard({ run, client, data, signal }: Steering): Promise<void> {
  let ended = false;
  const watching = (async () => {
    for await (const { entry } of run.progress({ signal })) if (entry.type === "task.signalled") break;
    ended = true;
  })();
  // An event that nobody waited for yet is gone: whoever wants to be heard says it again.
  while (!ended) {
    await insist(signal, () => client.bus.publish(`chaos.signal.${data.signal}`, { value: data.value }));
    await Promise.race([watching, Bun.sleep(200)]);
  }
  await watching;
}

async function pauseOnce({ run, client, signal }: Steering): Promise<void> {
  await insist(signal, () => client.tracker.pausePlan(run.planId));
  await Bun.sleep(50);
  await insist(signal, () => client.tracker.resumePlan(run.planId));
}

/** Does it again while that can help: the state node may be away longer than one call waits. */
async function insist(signal: AbortSignal, what: () => Promise<unknown>): Promise<void> {
  while (!signal.aborted) {
    try {
      await what();
      return;
    } catch (error) {
      if (!isSoormaError(error, "STORE_UNAVAILABLE") && !isSoormaError(error, "NO_RESPONDER")) throw error;
      await Bun.sleep(100);
    }
  }
}
