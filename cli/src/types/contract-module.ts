import { topicOf } from "@soorma/core";
import type { ContractKind, LiveContract } from "./contracts.ts";
import { docOf, pascalCase, propertyName, writeType } from "./schema-type.ts";

const definers: Record<ContractKind, string> = {
  goal: "defineGoal",
  task: "defineTask",
  tool: "defineTool",
  event: "defineEvent",
};

const heading = `// Written by \`soorma types\` out of the contracts of a running mesh. Do not edit it: run \`soorma types\` again.
// biome-ignore-all lint: generated
/* eslint-disable */
`;

/**
 * A TypeScript module that exports each contract with the types of its data: to be passed to \`submitGoal\`, \`invoke\`, \`publish\` and
 * the like instead of a name.
 */
export function writeModule(contracts: readonly LiveContract[]): string {
  const names = new Set<string>();
  const parts = contracts.map((contract) => writeContract(contract, uniqueName(contract, names)));
  const used = new Set(contracts.map(({ kind }) => definers[kind]));
  const imports =
    contracts.length === 0 ? "" : `import { ${[...used].sort().concat("Type").join(", ")} } from "soorma";\n`;
  const written = [imports, ...parts].filter((part) => part !== "").map((part) => `\n${part}`);
  return `${heading}${escaped(written.join(""))}`;
}

/** What would move a terminal's cursor or turn the direction of writing is in texts of agents, where it can be escaped. */
function escaped(code: string): string {
  return code.replace(
    /(?!\n)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** `count-words` of a task is `countWordsTask`. The kind is always part of it, so that no other contract changes a name. */
function uniqueName({ kind, name }: LiveContract, taken: Set<string>): string {
  const pascal = pascalCase(name);
  const suffix = pascalCase(kind);
  const base = pascal.endsWith(suffix) ? pascal : `${pascal}${suffix}`;
  let unique = base;
  for (let count = 2; taken.has(unique); count++) unique = `${base}${count}`;
  taken.add(unique);
  return unique;
}

function writeContract(contract: LiveContract, name: string): string {
  const { kind, version, description, agents, input, output, topic, retry, timeoutMs, priority } = contract;
  const by = kind === "event" ? "of" : "by";
  const comment = [description, `\`${contract.name}\` ${by} ${agents.join(", ")}.`].filter((line) => line).join("\n");
  const declarations: string[] = [];
  const typed = (part: string, what: string, schema: LiveContract["input"]): string => {
    if (!schema) return "Type.Unknown()";
    const type = `${name}${part}`;
    declarations.push(
      ...writeType(type, schema, textOf(schema.description) ?? `${what} \`${contract.name}\`.`).declarations,
    );
    return `Type.Unsafe<${type}>(${writeValue(schema, "  ")})`;
  };
  const fields: [string, string][] = [["name", JSON.stringify(contract.name)]];
  if (version !== undefined && version !== "1.0.0") fields.push(["version", JSON.stringify(version)]);
  if (description !== undefined) fields.push(["description", JSON.stringify(description)]);
  if (kind === "event") {
    if (topic !== undefined && topic !== topicOf(contract.name)) fields.push(["topic", JSON.stringify(topic)]);
    fields.push(["data", typed("Data", "Data of the event", input)]);
  } else {
    fields.push(["input", typed("Input", `What is passed to the ${kind}`, input)]);
    fields.push(["output", typed("Output", `What comes back of the ${kind}`, output)]);
  }
  if (retry !== undefined) fields.push(["retry", writeValue(retry, "  ")]);
  if (timeoutMs !== undefined) fields.push(["timeoutMs", String(timeoutMs)]);
  if (priority !== undefined) fields.push(["priority", String(priority)]);
  const constant = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`;
  const body = fields.map(([key, value]) => `  ${key}: ${value},\n`).join("");
  return `${declarations.map((declaration) => `${declaration}\n\n`).join("")}${docOf(comment, "")}export const ${constant} = ${definers[kind]}({\n${body}});\n`;
}

const width = 110;

/** A JSON value as TypeScript, on one line if that is short. */
function writeValue(value: unknown, indent: string): string {
  const short = oneLine(value);
  if (short.length + indent.length <= width || typeof value !== "object" || value === null) return short;
  const inner = `${indent}  `;
  if (Array.isArray(value))
    return `[\n${value.map((item) => `${inner}${writeValue(item, inner)},\n`).join("")}${indent}]`;
  const lines = Object.entries(value).map(([key, item]) => `${inner}${keyOf(key)}: ${writeValue(item, inner)},\n`);
  return `{\n${lines.join("")}${indent}}`;
}

function oneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, item]) => `${keyOf(key)}: ${oneLine(item)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

/** Written as `__proto__: …` it would be something else than a key. */
function keyOf(key: string): string {
  return key === "__proto__" ? '["__proto__"]' : propertyName(key);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
