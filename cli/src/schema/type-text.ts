type Schema = Readonly<Record<string, unknown>>;

export interface TypeTextOptions {
  /** What does not fit into so many columns is spread over lines. Default: everything on one line. */
  readonly width?: number;
  /** Say behind a field, where lines are spread, what its schema says beyond the type: bounds, formats, descriptions. */
  readonly notes?: boolean;
}

const step = "  ";

/** A JSON Schema as the TypeScript type of what it admits. What TypeScript has no word for is `unknown`. */
export function typeText(schema: unknown, options: TypeTextOptions = {}): string {
  return textOf(schema, "", options);
}

function textOf(schema: unknown, indent: string, options: TypeTextOptions): string {
  if (schema === false) return "never";
  if (!isSchema(schema)) return "unknown";
  if (isSchema(schema.not) && Object.keys(schema.not).length === 0) return "never";
  if ("const" in schema) return literal(schema.const);
  if (Array.isArray(schema.enum)) return union(schema.enum.map(literal));
  const { $ref } = schema;
  if (typeof $ref === "string") return /^[A-Za-z_$][\w$]*$/.test(lastOf($ref)) ? lastOf($ref) : "unknown";
  for (const word of ["anyOf", "oneOf"]) {
    const members = schema[word];
    if (Array.isArray(members)) return union(members.map((one) => textOf(one, indent, options)));
  }
  if (Array.isArray(schema.allOf)) {
    return schema.allOf.map((one) => inParts(textOf(one, indent, options), "|")).join(" & ") || "unknown";
  }
  const { type } = schema;
  if (Array.isArray(type)) return union(type.map((one) => textOf({ ...schema, type: one }, indent, options)));
  switch (type) {
    case "string":
    case "boolean":
    case "null":
      return type;
    case "number":
    case "integer":
      return "number";
    case "array":
      return arrayText(schema, indent, options);
    case "object":
      return objectText(schema, indent, options);
    default:
      return isSchema(schema.properties) ? objectText(schema, indent, options) : "unknown";
  }
}

function objectText(schema: Schema, indent: string, options: TypeTextOptions): string {
  const properties = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  const required = Array.isArray(schema.required) ? (schema.required as unknown[]) : [];
  const rest = restOf(schema);
  if (properties.length === 0) {
    return rest === undefined || rest === false ? "{}" : `Record<string, ${textOf(rest, indent, options)}>`;
  }
  const fields = properties.map(([name, field]) => ({
    field,
    text: (under: string) => `${nameText(name)}${required.includes(name) ? "" : "?"}: ${textOf(field, under, options)}`,
  }));
  if (isSchema(rest) && Object.keys(rest).length > 0) {
    fields.push({ field: rest, text: (under) => `[name: string]: ${textOf(rest, under, options)}` });
  }
  const { width = Number.POSITIVE_INFINITY, notes = false } = options;
  const line = `{ ${fields.map(({ text }) => text(indent)).join("; ")} }`;
  const hasNotes = notes && fields.some(({ field }) => noteOf(field) !== "");
  if (!line.includes("\n") && !hasNotes && Bun.stringWidth(indent + line) <= width) return line;
  const under = indent + step;
  const lines = fields.map(({ field, text }) => {
    const note = notes ? noteOf(field) : "";
    return `${under}${text(under)};${note === "" ? "" : ` // ${note}`}`;
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}

/** What is allowed beside the named properties: a schema, `false` for nothing, `undefined` where nothing is said. */
function restOf({ additionalProperties, patternProperties }: Schema): unknown {
  const patterns = isSchema(patternProperties) ? Object.values(patternProperties) : [];
  if (patterns.length > 0) return patterns.length === 1 ? patterns[0] : { anyOf: patterns };
  return additionalProperties === true ? {} : additionalProperties;
}

function arrayText(schema: Schema, indent: string, options: TypeTextOptions): string {
  const tuple = Array.isArray(schema.prefixItems) ? schema.prefixItems : schema.items;
  if (Array.isArray(tuple)) return `[${tuple.map((one) => textOf(one, indent, options)).join(", ")}]`;
  return `${inParts(textOf(schema.items, indent, options), "|", "&")}[]`;
}

/** What the schema says beyond the type. */
function noteOf(schema: unknown): string {
  if (!isSchema(schema)) return "";
  const said = (word: string): string[] => (schema[word] === undefined ? [] : [`${word} ${literal(schema[word])}`]);
  const notes = [
    ...(schema.type === "integer" ? ["whole number"] : []),
    ...["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"].flatMap(said),
    ...["minLength", "maxLength", "pattern", "format"].flatMap(said),
    ...["minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default"].flatMap(said),
  ];
  const { description } = schema;
  return [notes.join(", "), ...(typeof description === "string" ? [description.replace(/\s+/g, " ")] : [])]
    .filter((part) => part !== "")
    .join(" · ");
}

function union(members: readonly string[]): string {
  return [...new Set(members)].join(" | ") || "never";
}

/** A type as part of another one: in brackets where it would be read differently without. */
function inParts(text: string, ...operators: readonly string[]): string {
  return operators.some((operator) => isAtTop(text, ` ${operator} `)) ? `(${text})` : text;
}

/** Whether an operator stands outside of all brackets and quotes. */
function isAtTop(text: string, operator: string): boolean {
  const outside = text.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  let depth = 0;
  for (let at = 0; at < outside.length; at++) {
    const character = outside[at] ?? "";
    if ("{[(<".includes(character)) depth++;
    else if ("}])>".includes(character)) depth--;
    else if (depth === 0 && outside.startsWith(operator, at)) return true;
  }
  return false;
}

function literal(value: unknown): string {
  return JSON.stringify(value) ?? "unknown";
}

function nameText(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

function lastOf(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1).replace(/^#/, "");
}

function isSchema(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
