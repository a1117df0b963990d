import type { OutputOf } from "@soorma/core";
import { Planner } from "../../agents.ts";
import { type answering, asking, type Indexed } from "../contracts.ts";
import { tasksFor } from "../plan.ts";

const planner = new Planner({
  name: "answer-planner",
  description: "Plans how a folder's files are read and searched to answer a question",
  capabilities: ["question_answering"],
});

planner.onGoal(asking, (goal) => ({ tasks: tasksFor(goal.data) }));

planner.onComplete(({ plan, results }) => {
  const indexed = plan.tasks
    .filter((task) => task.name.startsWith("index "))
    .map((task) => results[task.name] as Indexed);
  const answer = results.answer as OutputOf<typeof answering>;
  return {
    ...answer,
    files: indexed.filter(({ problem }) => problem === undefined).length,
    passages: indexed.reduce((sum, { passages }) => sum + passages, 0),
    words: indexed.reduce((sum, { measure }) => sum + measure.words, 0),
    problems: indexed.flatMap(({ file, problem }) => (problem === undefined ? [] : [{ file, reason: problem }])),
  };
});

await planner.run();
