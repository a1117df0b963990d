import type { DirectoryView } from "../mesh/directory-view.ts";
import type { TaskSpec } from "../plans/log.ts";
import type { Operation } from "../registry/records.ts";

/** The handler that a task would meet, as a live worker registered it. */
export function handlerOf(
  directory: DirectoryView,
  { assignedTo, name }: { readonly assignedTo: string; readonly name: string },
): Operation | undefined {
  const tasks = directory.assignable(assignedTo)[0]?.tasks ?? [];
  return tasks.find((task) => task.name === assignedTo) ?? tasks.find((task) => task.name === name);
}

/** The task with what it leaves open filled in by the contract that a live worker registered for it. */
export function withDefaults<T extends Pick<TaskSpec, "name" | "assignedTo" | "retry" | "timeoutMs" | "priority">>(
  directory: DirectoryView,
  task: T,
): T {
  if (typeof task.assignedTo !== "string" || typeof task.name !== "string") return task;
  const handler = handlerOf(directory, { assignedTo: task.assignedTo, name: task.name });
  if (!handler) return task;
  const { retry, timeoutMs, priority } = handler;
  return {
    ...task,
    ...(task.retry === undefined && retry ? { retry } : {}),
    ...(task.timeoutMs === undefined && timeoutMs !== undefined ? { timeoutMs } : {}),
    ...(task.priority === undefined && priority !== undefined ? { priority } : {}),
  };
}
