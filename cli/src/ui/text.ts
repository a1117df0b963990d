/** Text that somebody else wrote, without what would move a terminal's cursor, colour it, or turn its direction. */
export function printable(text: string): string {
  return Bun.stripANSI(text).replace(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, "");
}

/** The same on one line. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, " ").trim();
}

const colorCodes = new RegExp(`(${String.fromCharCode(27)}\\[[\\d;]*m)`);

/** Text that somebody else wrote, with its colours but without what would move a terminal's cursor. */
export function colored(text: string): string {
  const parts = text.split(colorCodes);
  if (parts.length === 1) return printable(text);
  return `${parts.map((part, i) => (i % 2 === 1 ? part : printable(part))).join("")}\x1b[0m`;
}

/** The beginning of a text that has room in so many columns. A wide character that would stick out is left out. */
export function clip(text: string, width: number): string {
  if (width < 1) return "";
  if (width === Number.POSITIVE_INFINITY) return text;
  const clipped = Bun.sliceAnsi(text, 0, width);
  return Bun.stringWidth(clipped) > width ? Bun.sliceAnsi(text, 0, width - 1) : clipped;
}

/** The same; that something is missing is seen. */
export function cut(text: string, width: number): string {
  return Bun.stringWidth(text) <= width ? text : width < 1 ? "" : `${clip(text, width - 1)}…`;
}

/** `1 file`, `12,345 files`, `2 entries`, `6 processes` */
export function count(amount: number, noun: string): string {
  const many = noun.endsWith("y") ? `${noun.slice(0, -1)}ies` : `${noun}${noun.endsWith("s") ? "es" : "s"}`;
  return `${amount.toLocaleString("en-US")} ${amount === 1 ? noun : many}`;
}
