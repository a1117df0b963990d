import type { PlannedTask, TaskState } from "./log.ts";

/** The task that takes a completed one back. What its data is by default, and what templates in it become, `dataOf` says. */
export function undoTask(task: TaskState, taskId: string): PlannedTask | undefined {
  const { undo } = task;
  if (!undo) return undefined;
  return {
    taskId,
    name: `undo:${task.name}`,
    assignedTo: undo.assignedTo,
    undoes: task.taskId,
    ...(undo.data === undefined ? {} : { data: undo.data }),
    ...(task.templated === undefined ? {} : { templated: task.templated }),
    ...(undo.retry === undefined ? {} : { retry: undo.retry }),
    ...(undo.timeoutMs === undefined ? {} : { timeoutMs: undo.timeoutMs }),
    ...(task.priority === undefined ? {} : { priority: task.priority }),
  };
}
