/** The topics an event can be on. */
export const topics = [
  "business-facts",
  "action-requests",
  "action-results",
  "billing-events",
  "notification-events",
  "system-events",
  "plan-events",
  "task-events",
] as const;

export type Topic = (typeof topics)[number];

export function isTopic(value: unknown): value is Topic {
  return typeof value === "string" && (topics as readonly string[]).includes(value);
}

// Maps, since a token may be named like something that every object inherits: `constructor`.
const byPrefix: ReadonlyMap<string, Topic> = new Map([
  ["plan", "plan-events"],
  ["task", "task-events"],
  ["billing", "billing-events"],
  ["notification", "notification-events"],
  ["system", "system-events"],
]);

const bySuffix: ReadonlyMap<string, Topic> = new Map([
  ["requested", "action-requests"],
  ["request", "action-requests"],
  ["completed", "action-results"],
  ["result", "action-results"],
  ["response", "action-results"],
]);

/**
 * The topic an event type belongs to when nobody says: by its last token (`*.requested`, `*.result`, …), else by its
 * first (`plan.*`, `billing.*`, …), else `business-facts`.
 */
export function topicOf(type: string): Topic {
  const last = bySuffix.get(type.slice(type.lastIndexOf(".") + 1));
  if (last && type.includes(".")) return last;
  const dot = type.indexOf(".");
  return (dot > 0 ? byPrefix.get(type.slice(0, dot)) : undefined) ?? "business-facts";
}
