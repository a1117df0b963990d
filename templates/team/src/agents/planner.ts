import { defineGoal, Planner, Type } from "soorma";
import { Question } from "../search.ts";

const planner = new Planner({
  name: "{{name}}-planner",
  description: "{{description}}",
  capabilities: ["question_answering"],
});

const goal = defineGoal({ name: "{{goal}}", input: Question, output: Type.Unknown() });
planner.onGoal(goal, async ({ data }) => ({
  tasks: [
    { name: "search", assignedTo: "note_search", data },
    { name: "answer", assignedTo: "answer_writing", data, dependsOn: ["search"] },
  ],
}));

await planner.run();
