import type { Colors } from "../ui/colors.ts";
import { bar } from "../ui/live.ts";
import { oneLine } from "../ui/text.ts";

export interface ProgressView {
  /** Of all tasks, from 0 to 1. */
  readonly fraction: number;
  readonly doneCount: number;
  readonly taskCount: number;
  readonly workers: readonly {
    readonly name: string;
    readonly done: number;
    /** The latest last. */
    readonly now: readonly string[];
    /** What it did before. */
    readonly last: string | undefined;
  }[];
}

/** The bar, and a line for each worker with what it does now. */
export function progressLines(view: ProgressView, colors: Colors): string[] {
  const width = Math.max(0, ...view.workers.map(({ name }) => name.length));
  return [
    `${colors.cyan(bar(view.fraction))} ${view.doneCount} of ${view.taskCount} tasks`,
    ...view.workers.map(({ name, done, now, last }) => {
      const others = now.length > 1 ? colors.dim(` and ${now.length - 1} more`) : "";
      // Short tasks begin and end in one entry of the log; what was last is news enough.
      const before = last === undefined ? "waits" : `${oneLine(last)} ✓`;
      const doing = now.length === 0 ? colors.dim(before) : `${oneLine(now.at(-1) ?? "")}${others}`;
      return `  ${name.padEnd(width)} ${colors.dim(`${String(done).padStart(4)} done`)}  ${doing}`;
    }),
  ];
}

/** For where lines cannot be redrawn: one for each quarter of the way. */
export function createPlainProgress(print: (line: string) => void): (view: () => ProgressView) => void {
  let told = 0;
  return (view) => {
    const { doneCount, taskCount } = view();
    const quarter = taskCount === 0 ? 0 : Math.floor((doneCount * 4) / taskCount);
    if (quarter <= told) return;
    told = quarter;
    print(`${doneCount} of ${taskCount} tasks done`);
  };
}
