import { SoormaError } from "../errors.ts";
import { pathTo } from "./packable.ts";

/** What the templates of a task can name. What is absent here cannot be named there. */
export interface TemplateScope {
  readonly goal: { readonly id: string; readonly type: string; readonly data: unknown };
  /** Of the tasks it depends on, by name. */
  readonly results: Readonly<Record<string, unknown>>;
  /** Under `forEach`. */
  readonly item?: unknown;
  readonly index?: number;
  /** In `undo`; likewise where a state machine ends: of the state before. */
  readonly result?: unknown;
  /** Where a state machine ends after a failure. */
  readonly failure?: unknown;
}

const templateRoots = ["goal", "results", "item", "index", "result", "failure"] as const;
export type TemplateRoot = (typeof templateRoots)[number];

/** A `{{…}}` as it was written, and what it names. */
export interface Template {
  readonly text: string;
  readonly root: TemplateRoot;
  readonly path: readonly (string | number)[];
}

/** A template and where it stands, `data.items[3]`. */
export interface FoundTemplate extends Template {
  readonly at: string;
}

const segment = String.raw`\.[^\s.[\]{}"']+|\[\d+\]|\["(?:[^"\\]|\\.)*"\]`;
const pattern = new RegExp(String.raw`\{\{\s*(${templateRoots.join("|")})((?:${segment})*)\s*\}\}`, "g");
/** Begins like one, so that it was meant to be one. Other text in double braces is nobody's business here. */
const opening = new RegExp(String.raw`\{\{\s*(?:${templateRoots.join("|")})[.[][^{}]*\}{0,2}`, "g");

/**
 * Fills in the templates in a value: nested objects and lists are gone through, everything else stays what it is.
 *
 * Text that is one template and nothing else becomes the value itself, whatever its type; within other text a value is
 * written out, objects and lists as JSON. What is filled in is not looked at again. Only fields that a value has itself
 * are found: nothing inherited, nothing computed.
 *
 * @param at - What the value is called in errors. Default `data`.
 * @throws {SoormaError} `TEMPLATE_UNRESOLVED`; `details.path` is what is missing, `details.at` where it is wanted.
 */
export function resolveTemplates(value: unknown, scope: TemplateScope, at = "data"): unknown {
  if (typeof value === "string") return value.includes("{{") ? resolveText(value, scope, at) : value;
  if (Array.isArray(value)) {
    const parts = value.map((part: unknown, index) => resolveTemplates(part, scope, `${at}[${index}]`));
    return parts.some((part, index) => part !== value[index]) ? parts : value;
  }
  if (!isPlain(value)) return value;
  let changed = false;
  const fields = Object.entries(value).map(([key, part]) => {
    const resolved = resolveTemplates(part, scope, pathTo(at, key));
    if (resolved !== part) changed = true;
    return [key, resolved] as const;
  });
  return changed ? Object.fromEntries(fields) : value;
}

/**
 * The templates in a value, for checking them before there is anything to fill in.
 *
 * @throws {SoormaError} `PLAN_INVALID` for one that is no path, `{{results.search | first}}` say.
 */
export function findTemplates(value: unknown, at: string): FoundTemplate[] {
  const found: FoundTemplate[] = [];
  collect(value, at, found);
  return found;
}

/** The one template that a text consists of, if it does. */
export function parseTemplate(text: string): Template | undefined {
  const [match] = text.matchAll(pattern);
  return match?.[0] === text.trim() ? toTemplate(match) : undefined;
}

function collect(value: unknown, at: string, found: FoundTemplate[]): void {
  if (typeof value === "string") {
    if (!value.includes("{{")) return;
    const templates = Array.from(value.matchAll(pattern), toTemplate);
    for (const [text] of value.matchAll(opening)) {
      if (!templates.some((template) => template.text === text)) throw malformed(text, at);
    }
    found.push(...templates.map((template) => ({ ...template, at })));
  } else if (Array.isArray(value)) {
    value.forEach((part, index) => {
      collect(part, `${at}[${index}]`, found);
    });
  } else if (isPlain(value)) {
    for (const [key, part] of Object.entries(value)) collect(part, pathTo(at, key), found);
  }
}

function toTemplate(match: RegExpMatchArray): Template {
  const [text, root, path = ""] = match;
  const segments = Array.from(path.matchAll(new RegExp(segment, "g")), ([part]) =>
    part.startsWith(".") ? part.slice(1) : (JSON.parse(part.slice(1, -1)) as string | number),
  );
  return { text, root: root as TemplateRoot, path: segments };
}

function resolveText(text: string, scope: TemplateScope, at: string): unknown {
  const whole = parseTemplate(text);
  if (whole) return lookUp(whole, scope, at);
  return text.replace(pattern, (...match) => {
    const template = toTemplate(match.slice(0, 3) as unknown as RegExpMatchArray);
    return writeOut(lookUp(template, scope, at));
  });
}

function lookUp({ text, root, path }: Template, scope: TemplateScope, at: string): unknown {
  if (!Object.hasOwn(scope, root)) {
    throw unresolved(text, root, at, `there is no "${root}" here, only ${list(Object.keys(scope))}`);
  }
  let value: unknown = scope[root];
  let name: string = root;
  for (const key of path) {
    const next = pathTo(name, key);
    if (!has(value, key)) throw unresolved(text, next, at, `${name} ${describe(value)}`);
    value = value[key];
    name = next;
  }
  return value;
}

function has(value: unknown, key: string | number): value is Record<string | number, unknown> {
  if (typeof value === "string") return key === "length";
  return (
    typeof value === "object" && value !== null && Object.hasOwn(value, key) && Reflect.get(value, key) !== undefined
  );
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return `is a list of ${value.length}`;
  if (isPlain(value)) return Object.keys(value).length === 0 ? "is an empty object" : `has ${list(Object.keys(value))}`;
  if (typeof value === "string") return `is the text ${JSON.stringify(value.slice(0, 60))}`;
  if (value === null || typeof value !== "object") return `is ${String(value)}`;
  return `is a ${value.constructor?.name ?? "thing"}`;
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => `"${name.slice(0, 60)}"`);
  return `${shown.join(", ")}${names.length > shown.length ? ` and ${names.length - shown.length} more` : ""}`;
}

function writeOut(value: unknown): string {
  if (typeof value === "string") return value;
  // biome-ignore lint/style/noRestrictedGlobals: the class is asked about, not the time
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object" || value === null) return String(value);
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? part.toString() : part));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function malformed(text: string, at: string): SoormaError {
  return new SoormaError("PLAN_INVALID", `${at} holds ${JSON.stringify(text.slice(0, 100))}, which is no path`, {
    hint: 'write {{results.search.papers[0].title}}; a name with other characters goes into brackets: {{results["a b"]}}',
    details: { path: at },
  });
}

function unresolved(text: string, path: string, at: string, there: string): SoormaError {
  return new SoormaError("TEMPLATE_UNRESOLVED", `${at} wants ${text}, but there is no ${path}: ${there}`, {
    details: { path, at },
  });
}
