import type { Io } from "./io.ts";
import { clip } from "./text.ts";

/** Lines at the bottom of the terminal that change, below lines that stay. Off a terminal there are only the latter. */
export interface Live extends Disposable {
  readonly enabled: boolean;
  /** A line that stays. */
  print(line: string): void;
  /** Replaces the lines that change. Drawn at most every 50 ms. */
  set(lines: readonly string[]): void;
  /** Takes the changing lines away. */
  clear(): void;
}

const frameMs = 50;

export function createLive(io: Io, columns: () => number = columnsNow): Live {
  let wanted: readonly string[] = [];
  /** Widths of the lines on the screen. */
  let drawn: readonly number[] = [];
  let lastMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const erase = (): string => {
    // A terminal that became narrower has wrapped them.
    const rows = drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns())), 0);
    drawn = [];
    // What a key left there, "^C" say, stands at the beginning of the line below.
    return rows > 0 ? `\r\x1b[${rows}A\x1b[J` : "";
  };
  const draw = (before = ""): void => {
    if (timer) clearTimeout(timer);
    timer = undefined;
    lastMs = performance.now();
    const erased = erase();
    // A line that wraps would take two rows, and erasing would miss one.
    const lines = wanted.map((line) => clip(line, columns() - 1));
    drawn = lines.map((line) => Bun.stringWidth(line));
    io.errRaw(`${erased}${before}${lines.map((line) => `${line}\n`).join("")}`);
  };

  return {
    enabled: io.liveStderr,
    print(line) {
      if (io.liveStderr) draw(`${line}\n`);
      else io.err(line);
    },
    set(lines) {
      if (!io.liveStderr) return;
      wanted = lines;
      const dueMs = lastMs + frameMs - performance.now();
      if (dueMs <= 0) draw();
      else timer ??= setTimeout(draw, dueMs);
    },
    clear() {
      wanted = [];
      if (io.liveStderr) draw();
    },
    [Symbol.dispose]() {
      this.clear();
    },
  };
}

/** Asked anew: a terminal that was resized tells of it only when the event loop comes round. */
function columnsNow(): number {
  (process.stderr as { _refreshSize?(): void })._refreshSize?.();
  return process.stderr.columns || 80;
}

/** `━━━━━━━━╌╌╌╌ 66 %` */
export function bar(fraction: number, width = 24): string {
  const clamped = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
  const full = Math.round(clamped * width);
  return `${"━".repeat(full)}${"╌".repeat(width - full)} ${String(Math.floor(clamped * 100)).padStart(3)} %`;
}
