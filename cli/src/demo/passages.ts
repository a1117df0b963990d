import { type Block, headingText, parseBlocks } from "./blocks.ts";
import type { Passage } from "./contracts.ts";

/** A passage is closed when the next block would make it longer than this many characters. */
const comfortableChars = 700;
/** A block longer than this many characters is cut, at the end of a line or between words. */
const longestChars = 2_000;

/**
 * Splits a file into passages: the blocks under one heading, in order, packed until they are long enough. Paragraphs,
 * list items, tables and code stay whole, and code stays with what introduces it.
 */
export function splitPassages(file: string, text: string): Passage[] {
  const lines = text.split(/\r\n|\n|\r/);
  const passages: Passage[] = [];
  const path: { level: number; text: string }[] = [];
  let heading = "";
  let first = 0;
  let last = 0;
  let size = 0;

  const close = (): void => {
    if (first === 0) return;
    passages.push(...cut({ file, line: first, heading, text: lines.slice(first - 1, last).join("\n") }));
    first = 0;
    size = 0;
  };
  const blocks = parseBlocks(text);
  blocks.forEach((block, index) => {
    if (block.kind === "heading") {
      close();
      while ((path.at(-1)?.level ?? 0) >= block.level) path.pop();
      path.push({ level: block.level, text: headingText(block) });
      heading = path
        .map((part) => part.text)
        .filter((part) => part !== "")
        .join(" › ");
      return;
    }
    const length = charsOf(block);
    const introduced = block.kind === "code" && isIntroduced(blocks[index - 1]);
    const limit = introduced ? longestChars : comfortableChars;
    if (first > 0 && size + length > limit) close();
    if (first === 0) first = block.line;
    last = block.line + block.lines.length - 1;
    size += length;
  });
  close();
  return passages;
}

function charsOf(block: Block): number {
  return block.lines.reduce((sum, line) => sum + line.length + 1, 0);
}

function isIntroduced(before: Block | undefined): boolean {
  return before?.kind === "paragraph" || before?.kind === "item";
}

/** A passage as it is, or in pieces when it is too long. */
function cut(passage: Passage): Passage[] {
  if (passage.text.length <= longestChars) return [passage];
  const pieces: Passage[] = [];
  let line = passage.line;
  let piece = "";
  const push = (): void => {
    if (piece.trim() !== "") pieces.push({ ...passage, line, text: piece });
  };
  passage.text.split("\n").forEach((text, index) => {
    for (let rest = text; ; ) {
      if (piece !== "" && piece.length + rest.length > longestChars) {
        push();
        piece = "";
      }
      if (piece === "") line = passage.line + index;
      if (rest.length <= longestChars) {
        piece += piece === "" ? rest : `\n${rest}`;
        return;
      }
      const at = breakOf(rest);
      piece = rest.slice(0, at);
      push();
      piece = "";
      rest = rest.slice(at).trimStart();
    }
  });
  push();
  return pieces;
}

/** Where to break a line that is too long: after a sentence, else between words, else never inside a character. */
function breakOf(text: string): number {
  const reach = text.slice(0, longestChars);
  const sentence = reach.search(/[.!?。！？]\s(?!.*[.!?。！？]\s)/su);
  if (sentence > longestChars / 2) return sentence + 1;
  const space = reach.lastIndexOf(" ");
  if (space > longestChars / 2) return space;
  const code = reach.charCodeAt(longestChars - 1);
  return code >= 0xd800 && code <= 0xdbff ? longestChars - 1 : longestChars;
}
