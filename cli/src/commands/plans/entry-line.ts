import type { PlanEntry, WaitSpec } from "@soorma/core";
import type { Colors } from "../../ui/colors.ts";
import { eventText } from "../../ui/plan-graph.ts";
import { count, oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";

/** An entry of a plan's log as a line: when, what, and what is worth knowing about it. */
export function entryLine(
  entry: PlanEntry,
  createdAtMs: number,
  nameOf: (taskId: string) => string,
  colors: Colors,
): string {
  const at = `+${formatDuration(entry.timeMs - createdAtMs)}`.padEnd(12);
  const about = "taskId" in entry ? ` ${oneLine(nameOf(entry.taskId))}` : "";
  const more = detailOf(entry);
  const line = `${colors.dim(`${String(entry.version).padStart(5)} ${at}`)} ${entry.type}${about}`;
  return more === "" ? line : `${line} ${colors.dim(oneLine(more))}`;
}

function detailOf(entry: PlanEntry): string {
  switch (entry.type) {
    case "plan.created":
      return `${entry.origin.goalType} by ${entry.origin.planner}`;
    case "plan.driven":
      return `by ${entry.driver}, epoch ${entry.epoch}`;
    case "plan.started":
    case "task.delegated":
    case "task.expanded":
      return count(entry.tasks.length, "task");
    case "plan.transitioned":
      return [entry.to === undefined ? "" : `to ${entry.to}`, entry.tasks ? `${entry.tasks.length} more tasks` : ""]
        .filter((part) => part !== "")
        .join(", ");
    case "task.dispatched":
      return `attempt ${entry.attempt}`;
    case "task.assigned":
      return `to ${entry.agentName} (${entry.agentId})`;
    case "task.progress":
      return `${Math.floor(entry.fraction * 100)} % ${entry.message ?? ""}`;
    case "task.stepped":
      return entry.key;
    case "task.waiting":
      return entry.on.kind === "input" ? `for an answer to “${entry.on.prompt}”` : describeWait(entry.on);
    case "task.signalled":
    case "task.timedout":
      return entry.key;
    case "task.succeeded":
      return entry.durationMs === undefined ? "" : `in ${formatDuration(entry.durationMs)}`;
    case "task.retried":
      return `${entry.failure.code}: ${entry.failure.message}; again in ${formatDuration(entry.delayMs)}`;
    case "task.failed":
    case "plan.failed":
      return `${entry.failure.code}: ${entry.failure.message}`;
    case "task.cancelled":
    case "plan.cancelled":
      return entry.reason;
    case "task.discarded":
    case "plan.paused":
      return entry.reason ?? "";
    default:
      return "";
  }
}

function describeWait(on: Exclude<WaitSpec, { kind: "input" }>): string {
  return on.kind === "event" ? `for ${eventText(on)}` : `for ${formatDuration(on.ms)}`;
}
