import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** What really happened, written down by those it happened to; nothing of the mesh knows of it. */
export type LedgerLine = LedgerFact & {
  /** Wall clock, milliseconds. */
  readonly t: number;
  readonly pid: number;
  /** The process's place in the mesh: `worker-2`. */
  readonly who: string;
};

export type LedgerFact =
  /** A goal was accepted: from now on it has to be answered. */
  | { readonly kind: "accepted"; readonly planId: string; readonly shape: string; readonly data: unknown }
  /** Its client has the answer. */
  | { readonly kind: "answered"; readonly planId: string; readonly outcome: Outcome }
  /** Somebody who listens for answers heard one. */
  | { readonly kind: "heard"; readonly planId: string; readonly eventId: string; readonly outcome: Outcome }
  /** A handler began. */
  | {
      readonly kind: "begun";
      readonly planId: string;
      readonly taskId: string;
      readonly name: string;
      readonly attempt: number;
      readonly inputs: Readonly<Record<string, unknown>>;
    }
  /** Something outside changed: money moved, say. */
  | {
      readonly kind: "effect";
      readonly planId: string;
      readonly taskId: string;
      readonly attempt: number;
      readonly key: string;
      readonly value: string;
    }
  | {
      readonly kind: "returned";
      readonly planId: string;
      readonly taskId: string;
      readonly attempt: number;
      readonly result: unknown;
    }
  | {
      readonly kind: "threw";
      readonly planId: string;
      readonly taskId: string;
      readonly attempt: number;
      readonly code: string;
    };

/** How a goal ended. */
export type Outcome =
  | { readonly status: "completed"; readonly result: unknown }
  | { readonly status: "failed" | "cancelled"; readonly code: string; readonly message: string };

export interface Ledger extends Disposable {
  write(fact: LedgerFact): void;
}

/** Opens the ledger of a process. Every line is with the system before `write` returns: SIGKILL loses none. */
export function openLedger(folder: string, who: string): Ledger {
  mkdirSync(folder, { recursive: true });
  const file = openSync(join(folder, `${who}.jsonl`), "a");
  return {
    write(fact) {
      const line = { t: Date.now(), pid: process.pid, who, ...fact };
      writeSync(file, `${JSON.stringify(line)}\n`);
    },
    [Symbol.dispose]: () => closeSync(file),
  };
}

/** Everything in the ledgers, in the order of time. */
export function readLedgers(folder: string): LedgerLine[] {
  return readdirSync(folder)
    .flatMap((name) => readLedger(join(folder, name)))
    .sort((a, b) => a.t - b.t);
}

export function readLedger(path: string): LedgerLine[] {
  return (
    readFileSync(path, "utf8")
      .split("\n")
      // The last line of a process that was killed while it wrote may be torn.
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as LedgerLine];
        } catch {
          return [];
        }
      })
  );
}
