type BlockKind = "heading" | "paragraph" | "item" | "code" | "table" | "quote";

/** A piece of a Markdown or text file that reads as one. */
export interface Block {
  readonly kind: BlockKind;
  /** First line in the file, counted from 1. */
  readonly line: number;
  /** As in the file, its marks included. */
  readonly lines: readonly string[];
  /** Of a heading: 1 to 6. */
  readonly level: number;
}

const fence = /^\s{0,3}(?:[-*+]\s+)?(```+|~~~+)/;
const heading = /^ {0,3}(#{1,6})(?:\s+(.*?))?\s*#*\s*$/;
const item = /^\s*(?:[-*+]|\d{1,9}[.)])\s+/;
const rule = /^ {0,3}(?:(?:-\s*){3,}|(?:_\s*){3,}|(?:\*\s*){3,})$/;
const tableRow = /^\s*\|.*\|\s*$/;
const quote = /^\s{0,3}>/;

/**
 * The blocks of a Markdown file. Front matter, comments and rules between paragraphs are none. Plain text is Markdown
 * that has little markup.
 */
export function parseBlocks(text: string): Block[] {
  const lines = text.split(/\r\n|\n|\r/);
  const blocks: Block[] = [];
  let open: { kind: BlockKind; line: number; lines: string[] } | undefined;

  const close = (): void => {
    if (open) blocks.push({ ...open, level: 0 });
    open = undefined;
  };
  const add = (kind: BlockKind, index: number, line: string): void => {
    if (open?.kind !== kind) {
      close();
      open = { kind, line: index + 1, lines: [] };
    }
    open.lines.push(line);
  };

  let i = endOfFrontMatter(lines);
  for (; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const fenced = fence.exec(line)?.[1];
    if (fenced) {
      close();
      const start = i;
      const end = new RegExp(`^\\s*${fenced[0] === "~" ? "~" : "`"}{${fenced.length},}\\s*$`);
      do i++;
      while (i < lines.length && !end.test(lines[i] ?? ""));
      blocks.push({ kind: "code", line: start + 1, lines: lines.slice(start, i + 1), level: 0 });
      continue;
    }
    if (/^\s*<!--/.test(line)) {
      close();
      while (i < lines.length && !(lines[i] ?? "").includes("-->")) i++;
      continue;
    }
    if (line.trim() === "") {
      // An item may go on, indented, after an empty line; a new item or anything else does not.
      if (open?.kind === "item" && /^\s{2,}\S/.test(lines[i + 1] ?? "") && !item.test(lines[i + 1] ?? "")) continue;
      close();
      continue;
    }
    const atx = heading.exec(line);
    if (atx) {
      close();
      blocks.push({ kind: "heading", line: i + 1, lines: [line], level: atx[1]?.length ?? 1 });
      continue;
    }
    const under = /^ {0,3}(=+|-+)\s*$/.exec(line)?.[1];
    if (under && open?.kind === "paragraph" && open.lines.length === 1) {
      blocks.push({ kind: "heading", line: open.line, lines: open.lines, level: under[0] === "=" ? 1 : 2 });
      open = undefined;
      continue;
    }
    if (rule.test(line)) close();
    else if (tableRow.test(line)) add("table", i, line);
    else if (item.test(line)) {
      close();
      add("item", i, line);
    } else if (quote.test(line)) add("quote", i, line);
    else if (open?.kind === "item" || open?.kind === "quote") open.lines.push(line);
    else add("paragraph", i, line);
  }
  close();
  return blocks;
}

function endOfFrontMatter(lines: readonly string[]): number {
  if (lines[0]?.trim() !== "---") return 0;
  const end = lines.findIndex((line, index) => index > 0 && /^(?:---|\.\.\.)\s*$/.test(line));
  return end > 0 && end < 100 ? end + 1 : 0;
}

/** A heading's text, without its marks. */
export function headingText(block: Block): string {
  const [line = ""] = block.lines;
  return plainText(heading.exec(line)?.[2] ?? (heading.test(line) ? "" : line));
}

/** A line as a person reads it: links as their text, no emphasis, no tags. Code keeps its backticks. */
export function plainText(markdown: string): string {
  const kept: string[] = [];
  return (
    markdown
      // What is in backticks stays as it is, and so does what is marked as no markup.
      .replace(
        /(`+)(?!`)(.+?)(?<!`)\1(?!`)|\\([\\`*_{}[\]()#+.!|~<>-])/g,
        (all, _ticks, _code, plain?: string) => `\u0000${kept.push(plain ?? all) - 1}\u0000`,
      )
      .replace(/!\[([^\]]*)\]\([^)]*\)/g, "$1")
      .replace(/\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])/g, "$1")
      .replace(/<(https?:[^>\s]+)>/g, "$1")
      .replace(/<\/?[a-zA-Z][^>]*>/g, "")
      .replace(/(\*\*|__)(?=\S)(.+?)(?<=\S)\1/g, "$2")
      .replace(/(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])/g, "$1")
      .replace(/(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)/g, "$1")
      // biome-ignore lint/suspicious/noControlCharactersInRegex: stands for what was taken out above
      .replace(/\u0000(\d+)\u0000/g, (_, index) => kept[Number(index)] ?? "")
      .replace(/\s+/g, " ")
      .trim()
  );
}
