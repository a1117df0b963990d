import { defineTask, type Static, Worker } from "soorma";
import { Answer, writeAnswer } from "../answer.ts";
import type { ReadingTime } from "../reading-time.ts";
import { type Passages, Question } from "../search.ts";

const worker = new Worker({
  name: "{{name}}-writer",
  description: "Writes an answer from what was found",
  capabilities: ["answer_writing"],
});

worker.onTask(defineTask({ name: "answer_writing", input: Question, output: Answer }), async (task, context) => {
  // The result of the task this one depends on, by the name the planner gave it.
  const written = writeAnswer(task.inputs.search as Static<typeof Passages>);

  // Any agent may ask a tool along the way: found by what it can do, wherever it runs.
  const clock = await context.registry.find("reading_time");
  const time = (await clock?.invoke("estimate", { text: written.answer })) as Static<typeof ReadingTime> | undefined;
  return { ...written, readingSeconds: time?.seconds ?? 0 };
});

await worker.run();
