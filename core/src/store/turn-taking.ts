import type { Runtime } from "../runtime.ts";
import type { Base } from "./engine.ts";

/** Commits that may follow each other before the process's other work has its turn. */
const mostInTurn = 8;

/**
 * A base whose commits are over at once where the disk is fast, for whoever makes one after the other: without this such a loop
 * would be all that runs in its process, and timers and messages would wait for its end.
 */
export function takingTurns(base: Base, runtime: Runtime): Base {
  let commits = 0;
  const turned = (): void => {
    commits = 0;
  };
  return {
    ...base,
    async commit(writes) {
      if (commits++ === 0) runtime.defer(turned);
      if (commits > mostInTurn) await new Promise<void>((resolve) => runtime.defer(resolve));
      await base.commit(writes);
    },
  };
}
