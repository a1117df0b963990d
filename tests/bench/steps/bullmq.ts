// The same steps with BullMQ on Redis. `bun bullmq.ts <work|ask> <given>`
import { type FlowJob, FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { given, measure, ready, stepData } from "./measure.ts";

const told = given();
const { role, kind } = told;
const connection = { host: "127.0.0.1", port: told.ports[0] ?? 0 };

type Data = typeof stepData;

if (role === "work") {
  const step = new Worker<Data, Data>("step", async (job) => job.data, { connection, concurrency: 64 });
  /** As the documentation has it: a job keeps its step in its data. */
  const steps = new Worker<{ steps: number; last?: Data }, Data>(
    "steps",
    async (job) => {
      let last: Data = { ...stepData };
      for (let n = 0; n < job.data.steps; n++) {
        last = { ...last, n };
        await job.updateData({ steps: job.data.steps, last });
      }
      return last;
    },
    { connection, concurrency: 64 },
  );
  await Promise.all([step.waitUntilReady(), steps.waitUntilReady()]);
  ready();
} else {
  const keep = { removeOnComplete: 1_000, removeOnFail: 1_000 };
  const name = kind === "tasks" ? "step" : "steps";
  const queue = new Queue(name, { connection, defaultJobOptions: keep });
  const flows = new FlowProducer({ connection });
  const events = new QueueEvents(name, { connection });
  await events.waitUntilReady();
  // Each call under way listens for the end of its connection.
  for (const emitter of [queue, flows, events]) emitter.setMaxListeners(0);
  /** A plan: each job waits for the one before it, its child. The server hands them out one after the other. */
  const chain = (n: number): FlowJob => ({
    name,
    queueName: name,
    data: { ...stepData, n },
    opts: keep,
    ...(n === 0 ? {} : { children: [chain(n - 1)] }),
  });
  await measure(told, async (steps) => {
    const job = kind === "steps" ? await queue.add(name, { steps }) : (await flows.add(chain(steps - 1))).job;
    return job.waitUntilFinished(events);
  });
  process.exit(0);
}
