import type { Envelope } from "./envelope.ts";

/** What a part of an event can be compared with. */
export type WhereValue = string | number | boolean | null;

/** Parts of an event, besides its data, that can be compared: who sent it, and what it belongs to. */
const whereFields = [
  "correlationId",
  "goalId",
  "parentId",
  "planId",
  "sessionId",
  "source",
  "subject",
  "taskId",
  "traceId",
  "userId",
] as const;

/**
 * What parts of an event have to be: `{ "data.orderId": 7, sessionId: "s1" }`. All of them, and exactly: `7` is not `"7"`, and
 * what is missing is not `null`. Paths into the data are names between dots, also through lists: `data.items.0.id`.
 */
export type EventWhere = { readonly [path: `data.${string}`]: WhereValue } & {
  readonly [field in (typeof whereFields)[number]]?: string;
};

export const maxWhereParts = 16;
const maxWherePath = 200;
export const maxWhereText = 1_000;

const pathForm = new RegExp(`^(?:${whereFields.join("|")}|data(?:\\.[^.]+)+)$`);

/** Whether the path names a part of an event that can be compared. */
export function isWherePath(path: string): boolean {
  return path.length <= maxWherePath && pathForm.test(path);
}

/** What is wrong with what was given as an {@link EventWhere}, and at which path of it; undefined if nothing is. */
export function findWhereProblem(
  where: unknown,
): { readonly path?: string; readonly problem: string; readonly hint?: string } | undefined {
  if (typeof where !== "object" || where === null || Array.isArray(where)) {
    return { problem: "is no object", hint: 'it is { "data.orderId": 7, … }: what parts of the event have to be' };
  }
  const parts = Object.entries(where);
  if (parts.length > maxWhereParts) {
    return { problem: `names ${parts.length} parts of the event; the limit is ${maxWhereParts}` };
  }
  for (const [path, value] of parts) {
    if (!isWherePath(path)) {
      const hint = `parts are data.<name>, also data.<name>.<name>, and ${whereFields.join(", ")}`;
      return { path, problem: "is no part of an event that can be compared", hint };
    }
    const isText = typeof value === "string";
    if (isText && value.length > maxWhereText) {
      return { path, problem: `has ${value.length} characters; the limit is ${maxWhereText}` };
    }
    if (isText || value === null || typeof value === "boolean" || Number.isFinite(value)) continue;
    return { path, problem: "can only be compared with text, a finite number, true, false or null" };
  }
  return undefined;
}

/** Whether an event is as `where` says. Looks at own fields only. */
export function matchesWhere(event: Envelope, where: EventWhere | undefined): boolean {
  if (where === undefined) return true;
  return Object.entries(where).every(([path, value]) => partOf(event, path) === value);
}

function partOf(event: Envelope, path: string): unknown {
  let part: unknown = event;
  for (const name of path.split(".")) {
    if (typeof part !== "object" || part === null || !Object.hasOwn(part, name)) return undefined;
    part = (part as Record<string, unknown>)[name];
  }
  return part;
}
