import type { LogLine } from "@soorma/core";
import { createCodec } from "@soorma/core/mesh";
import type { ProcessEffect, SimulatedProcess } from "@soorma/core/testing";

const kinds = ["", "call", "result", "failure", "note", "cancel"] as const;
const codec = createCodec();

/** Everything that happened in a run, as one number, and in words if somebody wants to read it. */
export class Trace {
  readonly #write: ((line: string) => void) | undefined;
  readonly #elapsedMs: () => number;
  #hash = 0x811c9dc5;
  steps = 0;

  constructor(elapsedMs: () => number, write?: (line: string) => void) {
    this.#elapsedMs = elapsedMs;
    this.#write = write;
  }

  get reading(): boolean {
    return this.#write !== undefined;
  }

  /** Of everything so far: two runs with the same one did the same. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, "0");
  }

  effect(process: SimulatedProcess, effect: ProcessEffect, what: unknown, bytes: Uint8Array | undefined): void {
    this.steps++;
    this.#mix(process.name.charCodeAt(0) * 31 + process.name.charCodeAt(process.name.length - 1));
    this.#mix(effect.charCodeAt(0) * 31 + effect.charCodeAt(1) + (bytes?.length ?? 0));
    this.#mix(Math.round(this.#elapsedMs() * 1000) | 0);
    if (!this.#write || effect === "timer" || effect === "settled") return;
    const subject = typeof what === "string" ? what : what === undefined ? "" : JSON.stringify(what);
    this.#line(process.name, `${effect} ${subject}${bytes ? ` ${wordsOf(bytes)}` : ""}`);
  }

  log(process: string, { level, component, event, fields }: LogLine): void {
    this.#line(process, `log ${level} ${component} ${event} ${brief(fields)}`);
  }

  say(who: string, what: string): void {
    this.#mix(what.length);
    this.#line(who, what);
  }

  /** What a reader wants to know, and is no part of the run. */
  show(who: string, what: string): void {
    this.#line(who, what);
  }

  #line(who: string, what: string): void {
    this.#write?.(`${(this.#elapsedMs() / 1000).toFixed(4).padStart(10)} ${who.padEnd(10)} ${what}`);
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
    this.#hash ^= this.#hash >>> 13;
  }
}

function wordsOf(frame: Uint8Array): string {
  try {
    const messages = codec.decodeAll(frame) as readonly (readonly [number, unknown, ...unknown[]])[];
    return messages.map(([kind, id, ...rest]) => `${kinds[kind] ?? kind} ${brief(id)} ${brief(rest)}`).join("\n    + ");
  } catch {
    return `${frame.length} bytes`;
  }
}

export function brief(value: unknown): string {
  if (value instanceof Error) return `${value.name}(${"code" in value ? `${value.code}: ` : ""}${value.message})`;
  const text = JSON.stringify(value, (_key, inner) => (inner instanceof Error ? brief(inner) : inner)) ?? String(value);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}
