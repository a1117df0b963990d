/** A JSON Schema, as a registry keeps it. */
type Schema = Readonly<Record<string, unknown>>;

/** What a type cannot say. */
const sayings = [
  ...["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"],
  ...["format", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default"],
];

/** What a schema refers to by name, and how objects are written. */
interface Scope {
  /** Names of the types that stand for what `$ref` names. */
  readonly references: ReadonlyMap<string, string>;
  /** What fits into so many columns stands on one line. 0: every field has a line of its own. */
  readonly inline: number;
  /** Where a field's description goes. Behind it also stands what its type cannot say. */
  readonly notes: "above" | "behind" | "none";
}

/** TypeScript for a schema. */
export interface WrittenType {
  /** The declaration of the type itself, then those of what it refers to. */
  readonly declarations: readonly string[];
}

/**
 * Declares a type as a schema describes it. What a type cannot say (lengths, patterns, ranges) is left out, and what a
 * schema leaves open is `unknown`.
 *
 * @param name - Of the type, in PascalCase. What is referred to gets names that begin with it.
 */
export function writeType(name: string, schema: Schema, comment?: string): WrittenType {
  const references = new Map<string, string>([["#", name]]);
  const taken = new Set([name]);
  const definitions: [string, Schema][] = [];
  for (const holder of ["$defs", "definitions"]) {
    for (const [key, definition] of Object.entries(asSchema(schema[holder]) ?? {})) {
      const named = asSchema(definition);
      if (!named) continue;
      // `a-b` and `a_b` are two.
      let typeName = `${name}${pascalCase(key)}`;
      for (let count = 2; taken.has(typeName); count++) typeName = `${name}${pascalCase(key)}${count}`;
      taken.add(typeName);
      references.set(`#/${holder}/${key}`, typeName);
      references.set(key, typeName);
      if (typeof named.$id === "string") references.set(named.$id, typeName);
      definitions.push([typeName, named]);
    }
  }
  if (typeof schema.$id === "string" && !references.has(schema.$id)) references.set(schema.$id, name);
  const scope: Scope = { references, inline: 0, notes: "above" };
  return {
    declarations: [
      declare(name, schema, scope, comment),
      ...definitions.map(([typeName, definition]) => declare(typeName, definition, scope, undefined)),
    ],
  };
}

export interface TypeTextOptions {
  /** What does not fit into so many columns is spread over lines. Default: everything on one line. */
  readonly width?: number;
  /** Say behind each field, where lines are spread, what its type cannot: bounds, formats, its description. */
  readonly notes?: boolean;
}

/** A schema as the expression of a type, for people to read. */
export function typeText(schema: unknown, options: TypeTextOptions = {}): string {
  const { width = Number.POSITIVE_INFINITY, notes = false } = options;
  const references = new Map<string, string>();
  for (const holder of ["$defs", "definitions"]) {
    for (const key of Object.keys(asSchema(asSchema(schema)?.[holder]) ?? {})) {
      references.set(`#/${holder}/${key}`, pascalCase(key)).set(key, pascalCase(key));
    }
  }
  return typeOf(schema, { references, inline: width, notes: notes ? "behind" : "none" }, "");
}

function declare(name: string, schema: Schema, scope: Scope, comment: string | undefined): string {
  const told = docOf(comment ?? textOf(schema.description), "");
  const type = typeOf(schema, scope, "");
  return type.startsWith("{") && type.endsWith("}") && isPlainObject(schema)
    ? `${told}export interface ${name} ${type}`
    : `${told}export type ${name} = ${type};`;
}

/** One whose type is nothing but its properties. */
function isPlainObject(schema: Schema): boolean {
  const { anyOf, oneOf, allOf, type, properties } = schema;
  return type === "object" && asSchema(properties) !== undefined && !anyOf && !oneOf && !allOf && !schema.nullable;
}

/** The type a schema describes, as an expression. */
function typeOf(given: unknown, scope: Scope, indent: string): string {
  if (given === false) return "never";
  const schema = asSchema(given);
  if (!schema) return "unknown";
  const parts = partsOf(schema, scope, indent);
  const [only] = parts;
  const type = parts.length === 0 ? "unknown" : parts.length === 1 && only ? only : parts.map(bracketed).join(" & ");
  return schema.nullable === true && type !== "unknown" ? union([type, "null"]) : type;
}

/** All of which have to hold. */
function partsOf(schema: Schema, scope: Scope, indent: string): string[] {
  if (typeof schema.$ref === "string") return [scope.references.get(schema.$ref) ?? "unknown"];
  if ("const" in schema) return [literal(schema.const)];
  if (Array.isArray(schema.enum)) return [union(schema.enum.map(literal))];
  const parts: string[] = [];
  for (const alternatives of [schema.anyOf, schema.oneOf]) {
    if (Array.isArray(alternatives)) parts.push(union(alternatives.map((one) => typeOf(one, scope, indent))));
  }
  if (Array.isArray(schema.allOf)) parts.push(...schema.allOf.map((one) => typeOf(one, scope, indent)));
  const { type } = schema;
  const own = Array.isArray(type)
    ? union(type.map((one) => named(String(one), schema, scope, indent)))
    : named(typeof type === "string" ? type : impliedType(schema), schema, scope, indent);
  if (own !== "unknown") parts.push(own);
  if (parts.length === 0 && isNothing(schema.not)) return ["never"];
  return parts.filter((part) => part !== "unknown");
}

/** What a schema without a type is about, by what it says. */
function impliedType(schema: Schema): string {
  if (schema.properties || schema.patternProperties) return "object";
  return schema.items || schema.prefixItems ? "array" : "";
}

/** `not: {}` is what nothing matches. */
function isNothing(not: unknown): boolean {
  const schema = asSchema(not);
  return schema !== undefined && Object.keys(schema).length === 0;
}

function named(type: string, schema: Schema, scope: Scope, indent: string): string {
  switch (type) {
    case "string":
    case "number":
    case "boolean":
    case "null":
    case "bigint":
    case "undefined":
    case "void":
      return type;
    case "integer":
      return "number";
    case "array":
      return arrayOf(schema, scope, indent);
    case "object":
      return objectOf(schema, scope, indent);
    default:
      return "unknown";
  }
}

function arrayOf(schema: Schema, scope: Scope, indent: string): string {
  const listed = [schema.prefixItems, schema.items].find(Array.isArray);
  if (listed) {
    const least = typeof schema.minItems === "number" ? schema.minItems : 0;
    const items = listed.map((item, at) => {
      const type = typeOf(item, scope, indent);
      return at < least ? type : `${bracketed(type)}?`;
    });
    const rest = Array.isArray(schema.items) ? schema.additionalItems : schema.items;
    // A list that may go on goes on with anything, unless it says with what.
    const isClosed = rest === false || (typeof schema.maxItems === "number" && schema.maxItems <= listed.length);
    if (!isClosed) items.push(`...${bracketed(typeOf(rest ?? true, scope, indent))}[]`);
    return `[${items.join(", ")}]`;
  }
  return schema.items === undefined ? "unknown[]" : `${bracketed(typeOf(schema.items, scope, indent))}[]`;
}

function objectOf(schema: Schema, scope: Scope, indent: string): string {
  const required = new Set(Array.isArray(schema.required) ? schema.required.map(String) : []);
  // Registries sort keys; the list of what is required is as its author wrote it.
  const order = [...required];
  const rank = (key: string): number => (required.has(key) ? order.indexOf(key) : order.length);
  const properties = Object.entries(asSchema(schema.properties) ?? {}).sort(([a], [b]) => rank(a) - rank(b));
  const open = recordsOf(schema, scope, indent);
  if (properties.length === 0 && required.size === 0) {
    if (open.length > 0) return open.join(" & ");
    return schema.additionalProperties === false ? "Record<string, never>" : "Record<string, unknown>";
  }
  const inner = `${indent}  `;
  const fields = [
    ...properties.map(([key, value]) => {
      const field = (under: string): string =>
        `${propertyName(key)}${required.has(key) ? "" : "?"}: ${typeOf(value, scope, under)}`;
      return { field, doc: textOf(asSchema(value)?.description), note: scope.notes === "behind" ? noteOf(value) : "" };
    }),
    ...[...required]
      .filter((key) => !properties.some(([name]) => name === key))
      .map((key) => ({ field: (): string => `${propertyName(key)}: unknown`, doc: undefined, note: "" })),
  ];
  const line = `{ ${fields.map(({ field }) => field(indent)).join("; ")} }`;
  const isShort = !line.includes("\n") && indent.length + Bun.stringWidth(line) <= scope.inline;
  if (isShort && fields.every(({ note }) => note === "")) return [line, ...open].join(" & ");
  const lines = fields.map(({ field, doc, note }) => {
    const above = scope.notes === "above" ? docOf(doc, inner) : "";
    return `${above}${inner}${field(inner)};${note === "" ? "" : ` // ${note}`}`;
  });
  const own = `{\n${lines.join("\n")}\n${indent}}`;
  return [own, ...open].join(" & ");
}

/** What a schema says beyond its type, on one line. */
function noteOf(given: unknown): string {
  const schema = asSchema(given);
  if (!schema) return "";
  const bounds = [
    ...(schema.type === "integer" ? ["whole number"] : []),
    ...sayings.flatMap((word) => (schema[word] === undefined ? [] : [`${word} ${literal(schema[word])}`])),
  ].join(", ");
  return [bounds, (textOf(schema.description) ?? "").replace(/\s+/g, " ").trim()]
    .filter((part) => part !== "")
    .join(" · ");
}

/** What other keys may hold. */
function recordsOf(schema: Schema, scope: Scope, indent: string): string[] {
  const values = Object.entries(asSchema(schema.patternProperties) ?? {}).map(
    ([pattern, value]) => `Record<${isNumeric(pattern) ? "number" : "string"}, ${typeOf(value, scope, indent)}>`,
  );
  const additional = asSchema(schema.additionalProperties);
  if (additional && Object.keys(additional).length > 0) {
    values.push(`Record<string, ${typeOf(additional, scope, indent)}>`);
  }
  return values;
}

/** The pattern of a record whose keys are numbers. */
function isNumeric(pattern: string): boolean {
  return /^\^-\?\(\?:0\|\[1-9\]\[0-9\]\*\)/.test(pattern);
}

function literal(value: unknown): string {
  return JSON.stringify(value) ?? "undefined";
}

function union(types: readonly string[]): string {
  const all = [...new Set(types)];
  if (all.includes("unknown")) return "unknown";
  const some = all.filter((type) => type !== "never");
  return some.length === 0 ? "never" : some.map((type) => (hasOperator(type, "&") ? `(${type})` : type)).join(" | ");
}

/** As an operand of anything. */
function bracketed(type: string): string {
  return hasOperator(type, "&") || hasOperator(type, "|") ? `(${type})` : type;
}

/** Whether an operator stands outside of all brackets and texts. */
function hasOperator(type: string, operator: "&" | "|"): boolean {
  let depth = 0;
  const bare = type.replace(/"(?:[^"\\]|\\.)*"|\/\*\*[\s\S]*?\*\//g, "");
  for (const character of bare) {
    if ("{[(<".includes(character)) depth++;
    else if ("}])>".includes(character)) depth--;
    else if (depth === 0 && character === operator) return true;
  }
  return false;
}

/** A comment above what it is about; empty without a text. */
export function docOf(text: string | undefined, indent: string): string {
  const lines = (text ?? "")
    .replaceAll("*/", "*∕")
    .split("\n")
    .map((line) => line.trim());
  if (lines.every((line) => line === "")) return "";
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

/** A key as it is written in a type or an object. */
export function propertyName(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
}

/** `count-words` → `CountWords` */
export function pascalCase(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  const name = words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join("");
  return /^\d/.test(name) ? `_${name}` : name;
}

function asSchema(value: unknown): Schema | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
