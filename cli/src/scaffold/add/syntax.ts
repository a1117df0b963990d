import { tsPlugin } from "@sveltejs/acorn-typescript";
import { Parser } from "acorn";

/** A node of the syntax tree. See the ESTree specification for the fields of each type. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

const parser = Parser.extend(tsPlugin());

/** The statements of a TypeScript module. @throws {SyntaxError} for what is none. */
export function parseModule(source: string): readonly Node[] {
  const program = parser.parse(source, { sourceType: "module", ecmaVersion: "latest", locations: true });
  return (program as unknown as { readonly body: readonly Node[] }).body;
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && "start" in value;
}

export function nodeIn(node: Node | undefined, field: string): Node | undefined {
  const value = node?.[field];
  return isNode(value) ? value : undefined;
}

export function nodesIn(node: Node | undefined, field: string): readonly Node[] {
  const value = node?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The name of an identifier, the text of a string literal. */
export function nameOf(node: Node | undefined): string | undefined {
  if (node?.type === "Identifier" && typeof node.name === "string") return node.name;
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  return undefined;
}

/** Every node of a tree, the outer ones first. */
export function* walk(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const inner of Array.isArray(value) ? value : [value]) if (isNode(inner)) yield* walk(inner);
  }
}

/** The value inside `(value)`, `value as T`, `value satisfies T` and `value!`. */
export function unwrapped(node: Node | undefined): Node | undefined {
  const around = ["TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression", "ParenthesizedExpression"];
  return node && around.includes(node.type) ? unwrapped(nodeIn(node, "expression")) : node;
}

/** What a module-level statement declares, exported or not. */
export function declarationOf(statement: Node): Node {
  return (statement.type === "ExportNamedDeclaration" && nodeIn(statement, "declaration")) || statement;
}

/** The property of an object literal. */
export function propertyOf(object: Node, name: string): Node | undefined {
  return nodesIn(object, "properties").find(
    (property) =>
      property.type === "Property" && property.computed !== true && nameOf(nodeIn(property, "key")) === name,
  );
}

/** A text to put at a place of a source. */
export interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Puts texts at their places, with the line ends that the source has. */
export function applyInsertions(source: string, insertions: readonly Insertion[]): string {
  const [lineEnd] = /\r?\n/.exec(source) ?? ["\n"];
  let result = source;
  // From the end, so that the places before stay where they are.
  for (const { at, text } of [...insertions].sort((a, b) => b.at - a.at)) {
    result = result.slice(0, at) + text.replaceAll("\n", lineEnd) + result.slice(at);
  }
  return result;
}

/** The end of the line a node ends on, when nothing but a comment follows there; else the node's own end. */
export function endOfLine(source: string, node: Node): number {
  const [rest = ""] = /^[^\r\n]*/.exec(source.slice(node.end)) ?? [];
  return /^[\s,;]*(\/\/.*)?$/.test(rest) ? node.end + rest.length : node.end;
}

/** What adds a property to an object literal, written as its others are: on the same line, or on lines of their own. */
export function entryInsertions(source: string, literal: Node, entry: string): Insertion[] {
  const last = nodesIn(literal, "properties").at(-1);
  if (!last) return [{ at: literal.start + 1, text: ` ${entry} ` }];
  const lineStart = source.lastIndexOf("\n", last.start) + 1;
  const [, indent, before] = /^([ \t]*)(.*)/.exec(source.slice(lineStart, last.start)) ?? [];
  const lineEnd = endOfLine(source, last);
  if (lineStart <= literal.start || before !== "" || lineEnd === last.end) {
    return [{ at: last.end, text: lineStart > literal.start && before === "" ? `,\n${indent}${entry}` : `, ${entry}` }];
  }
  const hasComma = /^\s*,/.test(source.slice(last.end, lineEnd));
  const line = { at: lineEnd, text: `\n${indent}${entry}${hasComma ? "," : ""}` };
  return hasComma ? [line] : [{ at: last.end, text: "," }, line];
}
