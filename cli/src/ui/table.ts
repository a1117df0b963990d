import type { Colors } from "./colors.ts";
import { clip, cut } from "./text.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Where there is no room, columns are left out, the highest first; those without stay. */
  readonly rank?: number;
  /** Its cells may be cut down to so many characters before a column is left out. Default: they are not cut. */
  readonly least?: number;
}

export interface TableOptions {
  /** Of the terminal; infinite elsewhere. */
  readonly width: number;
  readonly colors: Colors;
}

const gap = 2;

/** Rows under their titles. Where they are too wide cells are cut, then columns left out: no line is wider than `width`. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions,
): string[] {
  const { width, colors } = options;
  const natural = columns.map(({ title }, at) =>
    Math.max(Bun.stringWidth(title), ...rows.map((row) => Bun.stringWidth(row[at] ?? ""))),
  );
  const { shown, widths } = fit(columns, natural, width);
  const line = (cells: readonly string[]): string =>
    clip(
      shown
        .map((at, place) => {
          const room = widths.get(at) ?? 0;
          const cell = cut(cells[at] ?? "", room);
          const space = " ".repeat(room - Bun.stringWidth(cell));
          if (columns[at]?.align === "right") return space + cell;
          return place === shown.length - 1 ? cell : cell + space;
        })
        .join(" ".repeat(gap)),
      width,
    ).trimEnd();
  return [line(columns.map(({ title }) => colors.dim(title))), ...rows.map(line)];
}

/** Which columns there is room for, and how wide they are. */
function fit(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): { shown: number[]; widths: Map<number, number> } {
  let shown = columns.map((_, at) => at);
  for (;;) {
    const widths = new Map(shown.map((at) => [at, natural[at] ?? 0]));
    let over = [...widths.values()].reduce((sum, one) => sum + one, gap * (shown.length - 1)) - width;
    // The widest gives way first, a character at a time: what is short stays whole.
    while (over > 0) {
      const widest = shown
        .filter((at) => (widths.get(at) ?? 0) > (columns[at]?.least ?? Number.POSITIVE_INFINITY))
        .sort((a, b) => (widths.get(b) ?? 0) - (widths.get(a) ?? 0))[0];
      if (widest === undefined) break;
      widths.set(widest, (widths.get(widest) ?? 0) - 1);
      over--;
    }
    const last = shown
      .filter((at) => columns[at]?.rank !== undefined)
      .sort((a, b) => (columns[b]?.rank ?? 0) - (columns[a]?.rank ?? 0))[0];
    if (over <= 0 || last === undefined) return { shown, widths };
    shown = shown.filter((at) => at !== last);
  }
}
