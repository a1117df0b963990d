import type { PlannedTask, TaskState } from "./log.ts";

/**
 * The task that takes a completed one back. Its data is a template: the engine fills in `{{result}}`, so that text in a
 * result is never taken for one.
 */
export function undoTask(task: TaskState, taskId: string): PlannedTask | undefined {
  const { undo } = task;
  if (!undo) return undefined;
  return {
    taskId,
    name: `undo:${task.name}`,
    assignedTo: undo.assignedTo,
    data: undo.data === undefined ? { data: task.data, result: "{{result}}" } : undo.data,
    undoes: task.taskId,
    ...(undo.retry === undefined ? {} : { retry: undo.retry }),
    ...(undo.timeoutMs === undefined ? {} : { timeoutMs: undo.timeoutMs }),
    ...(task.priority === undefined ? {} : { priority: task.priority }),
  };
}
