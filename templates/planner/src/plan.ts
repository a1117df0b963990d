import { type Static, Type } from "soorma";

/** What a goal brings along. */
export const Goal = Type.Object({ topic: Type.String({ minLength: 1 }) });

/** The tasks for one goal. Those that depend on nothing run at the same time; the others get the results in `inputs`. */
export function planFor({ topic }: Static<typeof Goal>) {
  return [
    { name: "history", assignedTo: "research", data: { topic, aspect: "history" } },
    { name: "today", assignedTo: "research", data: { topic, aspect: "today" } },
    { name: "report", assignedTo: "writing", data: { topic }, dependsOn: ["history", "today"] },
  ];
}
