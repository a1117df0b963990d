import { type Block, parseBlocks, plainText } from "./blocks.ts";
import type { Passage } from "./contracts.ts";

/** What an answer can quote: a sentence, a list item, a table row, or an introduction with the code it introduces. */
export interface Sentence {
  readonly file: string;
  readonly line: number;
  readonly heading: string;
  /** Without markup. */
  readonly text: string;
  /** Lines of code that belong to it. */
  readonly code: readonly string[];
  /** A table's row. */
  readonly isRow: boolean;
  /** Position in its passage, counted from 0. */
  readonly position: number;
}

/** Code longer than this many lines is not quoted. */
const quotedCodeLines = 8;
/** A list is quoted together with what introduces it up to this many characters. */
const quotedListChars = 320;

/** The sentences of a passage, each with the line it begins on. */
export function sentencesOf(passage: Passage): Sentence[] {
  const { file, heading } = passage;
  const found: Omit<Sentence, "position">[] = [];
  const add = (line: number, text: string, code: readonly string[] = [], isRow = false): void => {
    if (text !== "") found.push({ file, heading, line: passage.line + line - 1, text, code, isRow });
  };
  const blocks = parseBlocks(passage.text);
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i];
    if (!block || block.kind === "heading") continue;
    if (block.kind === "code") continue;
    if (block.kind === "table") {
      for (const row of rowsOf(block)) add(row.line, row.text, [], true);
      continue;
    }
    const { texts, open } = textsOf(block);
    for (const { line, text } of texts) add(line, text);
    if (!open) continue;
    // "Run this:" alone answers nothing.
    const next = blocks[i + 1];
    if (next?.kind === "code" && next.lines.length - 2 <= quotedCodeLines) add(open.line, open.text, codeOf(next));
    else if (next?.kind === "item") {
      let list = open.text;
      for (let at = i + 1; blocks[at]?.kind === "item"; at++) {
        const part = partsOf(blocks[at] as Block).join(" ");
        if (list.length + part.length > quotedListChars) break;
        list += `${at === i + 1 ? " " : "; "}${part.replace(/[.;,]$/, "")}`;
      }
      if (list !== open.text) add(open.line, `${list}.`);
    }
  }
  return found.map((sentence, position) => ({ ...sentence, position }));
}

/** A block's text in one string, and the line on which each of its characters is. */
function textsOf(block: Block): {
  texts: { line: number; text: string }[];
  /** The last sentence, when it introduces what follows. */
  open: { line: number; text: string } | undefined;
} {
  const starts: { at: number; line: number }[] = [];
  let joined = "";
  block.lines.forEach((raw, index) => {
    const bare = unmarked(raw, block.kind);
    if (bare === "") return;
    if (joined !== "") joined += " ";
    starts.push({ at: joined.length, line: block.line + index });
    joined += bare;
  });
  const texts = splitSentences(joined).map(({ at, text }) => ({
    line: starts.findLast((start) => start.at <= at)?.line ?? block.line,
    text: plainText(text),
  }));
  const last = texts.at(-1);
  if (last && /[:：]$/.test(last.text)) return { texts: texts.slice(0, -1), open: last };
  return { texts, open: undefined };
}

function partsOf(block: Block): string[] {
  const { texts, open } = textsOf(block);
  return [...texts, ...(open ? [open] : [])].map(({ text }) => text);
}

function unmarked(line: string, kind: Block["kind"]): string {
  const bare = kind === "quote" ? line.replace(/^\s*>\s?(?:\[!\w+\]\s*)?/, "") : line;
  return kind === "item" ? bare.replace(/^\s*(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?/, "").trim() : bare.trim();
}

function codeOf(block: Block): string[] {
  const inner = block.lines.slice(1, -1);
  const indent = Math.min(...inner.filter((line) => line.trim() !== "").map((line) => line.search(/\S/)));
  return inner.map((line) => line.slice(Number.isFinite(indent) ? indent : 0).trimEnd());
}

/** Each row of a table as `first cell: header value, header value`. */
function rowsOf(block: Block): { line: number; text: string }[] {
  const [header = [], ...rows] = block.lines.map(cellsOf);
  return rows.flatMap((cells, index) => {
    if (cells.every((cell) => /^:?-+:?$/.test(cell))) return [];
    const [first = "", ...rest] = cells;
    const named = rest.flatMap((cell, at) => {
      const name = header[at + 1] ?? "";
      if (cell === "") return [];
      // With two columns the header says nothing the row does not.
      return [rest.length > 1 && name !== "" ? `${name}: ${cell}` : cell];
    });
    const text = named.length > 0 ? `${first}: ${named.join("; ")}` : first;
    return [{ line: block.line + index + 1, text }];
  });
}

function cellsOf(row: string): string[] {
  return row
    .trim()
    .replace(/^\||\|$/g, "")
    .split(/(?<!\\)\|/)
    .map((cell) => plainText(cell.replaceAll("\\|", "|")));
}

const abbreviation = /(?:^|[\s("'“])(?:e\.g|i\.e|cf|vs|etc|resp|approx|no|nr|fig|sec|dr|mr|mrs|ms|prof|st|[A-Z])\.$/i;

/** Splits a text at the ends of sentences: not after abbreviations and initials, not inside code. */
export function splitSentences(text: string): { at: number; text: string }[] {
  const sentences: { at: number; text: string }[] = [];
  let start = 0;
  const push = (end: number): void => {
    const raw = text.slice(start, end);
    const trimmed = raw.trim();
    if (trimmed !== "") sentences.push({ at: start + raw.search(/\S/), text: trimmed });
    start = end;
  };
  for (const match of text.matchAll(/[.!?]+["'”’)\]*_]*(?=\s)|[。！？]+/g)) {
    const end = match.index + match[0].length;
    const before = text.slice(start, end);
    if (match[0] === "." && abbreviation.test(before)) continue;
    // A number or a lower-case word goes on: "version 2. of", "Node.js is".
    if (/^\s+[\p{Ll}]/u.test(text.slice(end, end + 40))) continue;
    if ((before.match(/`/g)?.length ?? 0) % 2 === 1) continue;
    push(end);
  }
  push(text.length);
  return sentences;
}
