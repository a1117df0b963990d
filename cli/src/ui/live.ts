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

export function createLive(io: Io, columns: () => number = () => process.stderr.columns ?? 80): Live {
  let wanted: readonly string[] = [];
  let drawn = 0;
  let lastMs = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const erase = (): string => {
    const text = drawn > 0 ? `\x1b[${drawn}A\x1b[J` : "";
    drawn = 0;
    return text;
  };
  const draw = (before = ""): void => {
    if (timer) clearTimeout(timer);
    timer = undefined;
    lastMs = performance.now();
    const erased = erase();
    // A line that wraps would take two rows, and erasing would miss one.
    const lines = wanted.map((line) => clip(line, columns() - 1));
    drawn = lines.length;
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

/** `━━━━━━━━╌╌╌╌ 66 %` */
export function bar(fraction: number, width = 24): string {
  const clamped = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0));
  const full = Math.round(clamped * width);
  return `${"━".repeat(full)}${"╌".repeat(width - full)} ${String(Math.floor(clamped * 100)).padStart(3)} %`;
}
