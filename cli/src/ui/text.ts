/** Text that somebody else wrote, without what would move a terminal's cursor or colour it. */
export function printable(text: string): string {
  return Bun.stripANSI(text).replace(/(?![\n\t])\p{Cc}/gu, "");
}

/** The same on one line. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, " ").trim();
}
