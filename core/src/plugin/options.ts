import type { Static, TSchema } from "typebox";
import { SoormaError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { Value } from "../schema.ts";
import type { Plugin, PluginKind, PluginKinds } from "./plugin.ts";

interface Problem {
  /** Dotted: `tls.cert`, `servers.0.port`; empty for the options as a whole. */
  readonly path: string;
  readonly message: string;
}

/**
 * Makes a plugin's instance, its options checked first.
 *
 * @throws {SoormaError} `PLUGIN_OPTIONS_INVALID`, and whatever the plugin's `create` throws.
 */
export async function createFromPlugin<K extends PluginKind, O extends TSchema>(
  plugin: Plugin<K, O>,
  options: unknown,
  deps: PluginKinds[K]["deps"],
): Promise<PluginKinds[K]["instance"]> {
  return plugin.create(parsePluginOptions(plugin, options), deps);
}

/**
 * `options` with the schema's defaults filled in; `undefined` counts as no options. The argument is left as it is.
 *
 * Keys the schema does not know are refused, unless it allows additional properties by itself.
 *
 * @throws {SoormaError} `PLUGIN_OPTIONS_INVALID` with the path of the first wrong field, all of them in
 * `details.errors`.
 */
export function parsePluginOptions<K extends PluginKind, O extends TSchema>(
  plugin: Plugin<K, O>,
  options: unknown,
): NoInfer<Static<O>> {
  const filled = Value.Default(plugin.options, copyPlain(options ?? {}));
  const unknown = unknownKeys(plugin.options, filled, "");
  if (unknown.length === 0 && Value.Check(plugin.options, filled)) return filled;
  const reported = new Set(unknown.map((problem) => problem.path));
  const problems = [...unknown, ...violations(plugin.options, filled).filter(({ path }) => !reported.has(path))];
  const first = problems[0] ?? { path: "", message: "do not match its schema" };
  const where = first.path === "" ? "" : `"${first.path}" `;
  const more = problems.length === 1 ? "" : ` (and ${problems.length - 1} more)`;
  const known = Object.keys(propertiesOf(plugin.options) ?? {});
  throw new SoormaError(
    "PLUGIN_OPTIONS_INVALID",
    `options of ${plugin.kind} "${plugin.name}": ${where}${first.message}${more}`,
    {
      details: { path: first.path, errors: problems.slice(0, 20).map((problem) => ({ ...problem })) },
      hint: known.length > 0 ? `Its options are: ${known.join(", ")}.` : "It takes no options.",
    },
  );
}

/** Copies what defaults may be written into. Anything but plain objects and arrays is a value a plugin wants as it is. */
function copyPlain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyPlain);
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyPlain(inner)]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function propertiesOf(schema: object): Readonly<Record<string, object>> | undefined {
  return "properties" in schema ? (schema.properties as Readonly<Record<string, object>>) : undefined;
}

/** TypeBox objects allow unknown keys unless told otherwise; an option nobody reads is a typing error. */
function unknownKeys(schema: object, value: unknown, path: string): Problem[] {
  if (Array.isArray(value)) {
    const items = "items" in schema && isPlain(schema.items) ? schema.items : undefined;
    return items ? value.flatMap((item, index) => unknownKeys(items, item, join(path, `${index}`))) : [];
  }
  const properties = propertiesOf(schema);
  if (!properties || !isPlain(value)) return [];
  const isOpen =
    "patternProperties" in schema || ("additionalProperties" in schema && schema.additionalProperties !== false);
  return Object.entries(value).flatMap(([key, inner]) => {
    const known = Object.hasOwn(properties, key) ? properties[key] : undefined;
    if (known) return unknownKeys(known, inner, join(path, key));
    if (isOpen) return [];
    const meant = nearest(key, Object.keys(properties));
    return [{ path: join(path, key), message: `is not an option${meant ? `, did you mean "${meant}"?` : ""}` }];
  });
}

function violations(schema: TSchema, value: unknown): Problem[] {
  const errors = Value.Errors(schema, value);
  // A union's branches each complain before the union does: what counts is what the branches would take.
  const unions = errors.filter((error) => error.keyword === "anyOf");
  const problems = errors.flatMap((error): Problem[] => {
    const path = dotted(error.instancePath);
    if (unions.some((union) => error.schemaPath.startsWith(`${union.schemaPath}/anyOf/`))) return [];
    switch (error.keyword) {
      case "additionalProperties":
        return error.params.additionalProperties.map((key) => ({ path: join(path, key), message: "is not an option" }));
      case "boolean":
        return []; // the same once more
      case "required":
        return error.params.requiredProperties.map((key) => ({ path: join(path, key), message: "is missing" }));
      case "anyOf": {
        const allowed = errors.flatMap((inner) =>
          inner.keyword === "const" && inner.schemaPath.startsWith(`${error.schemaPath}/anyOf/`)
            ? [JSON.stringify(inner.params.allowedValue)]
            : [],
        );
        const message = allowed.length > 0 ? `must be ${allowed.join(" or ")}` : "is none of what is allowed";
        return [{ path, message: `${message}, not ${brief(value, error.instancePath)}` }];
      }
      case "enum":
        return [
          {
            path,
            message: `must be ${error.params.allowedValues.map((allowed) => JSON.stringify(allowed)).join(" or ")}, not ${brief(value, error.instancePath)}`,
          },
        ];
      default:
        return [{ path, message: `${error.message}, not ${brief(value, error.instancePath)}` }];
    }
  });
  return problems;
}

function brief(root: unknown, instancePath: string): string {
  let value = root;
  for (const key of tokens(instancePath)) value = (value as Record<string, unknown> | undefined)?.[key];
  if (typeof value === "string" && value.length > 60) return `a text of ${value.length} characters`;
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(JSON.stringify(value));
}

function dotted(instancePath: string): string {
  return tokens(instancePath).join(".");
}

function tokens(instancePath: string): string[] {
  return instancePath
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function join(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}
