import { SoormaError } from "../errors.ts";
import type { Topic } from "./topics.ts";

/** Longest event type or pattern, in characters. */
export const maxTypeLength = 200;

const token = /^[A-Za-z0-9_-]+$/;

/** @throws {SoormaError} `PAYLOAD_INVALID` when `type` is no event type: dot-separated tokens of letters, digits, `_`, `-`. */
export function checkType(type: string): void {
  if (!isType(type)) {
    throw new SoormaError("PAYLOAD_INVALID", `${JSON.stringify(clip(type))} is no event type`, {
      hint: 'Use dot-separated tokens of letters, digits, "_" and "-", for example "order.created".',
    });
  }
}

export function isType(type: unknown): type is string {
  if (typeof type !== "string" || type.length === 0 || type.length > maxTypeLength) return false;
  // By character: this runs for every event published and received.
  let afterDot = true;
  for (let i = 0; i < type.length; i++) {
    const c = type.charCodeAt(i);
    if (c === 46) {
      if (afterDot) return false;
      afterDot = true;
    } else if ((c >= 97 && c <= 122) || (c >= 48 && c <= 57) || (c >= 65 && c <= 90) || c === 45 || c === 95) {
      afterDot = false;
    } else return false;
  }
  return !afterDot;
}

/** A compiled subscription pattern. */
export interface Pattern {
  readonly source: string;
  /** The literal tokens before the first wildcard, each ending in a dot: `order.` for `order.*`. */
  readonly prefix: string;
  /** True when the pattern has no wildcard. */
  readonly exact: boolean;
  matches(type: string): boolean;
}

/**
 * Compiles a pattern: `*` stands for one token, `>` or `**` at the end for all that follow (at least one).
 *
 * @throws {SoormaError} `PAYLOAD_INVALID` when it is no pattern.
 */
export function compilePattern(source: string): Pattern {
  const tokens = typeof source === "string" ? source.split(".") : [];
  const rest = tokens.at(-1) === ">" || tokens.at(-1) === "**";
  const fixed = rest ? tokens.slice(0, -1) : tokens;
  const valid =
    tokens.length > 0 && source.length <= maxTypeLength && fixed.every((part) => part === "*" || token.test(part));
  if (!valid) {
    throw new SoormaError("PAYLOAD_INVALID", `${JSON.stringify(clip(source))} is no event pattern`, {
      hint: 'Use an event type in which "*" stands for one token and a final ">" or "**" for the rest: "order.*", "order.>".',
    });
  }
  const wild = fixed.indexOf("*");
  const literal = wild < 0 ? fixed : fixed.slice(0, wild);
  const exact = !rest && wild < 0;
  return {
    source,
    prefix: literal.map((part) => `${part}.`).join(""),
    exact,
    matches: exact ? (type) => type === source : (type) => matchTokens(fixed, rest, type),
  };
}

function matchTokens(fixed: readonly string[], rest: boolean, type: string): boolean {
  const parts = type.split(".");
  if (rest ? parts.length <= fixed.length : parts.length !== fixed.length) return false;
  return fixed.every((part, i) => part === "*" || part === parts[i]);
}

/**
 * The transport channel of an event. The tenant comes first, so that a subscription can never reach into another one;
 * the topic last, so that a prefix of the type selects whatever its topic.
 */
export function channelOf(tenant: string, type: string, topic: Topic): string {
  return `${tenant}.${type}.@${topic}.`;
}

/** What to subscribe to at the transport so that everything the pattern matches arrives (and perhaps more). */
export function channelPrefix(tenant: string, pattern: Pattern, topic?: string): string {
  return pattern.exact && topic ? `${tenant}.${pattern.prefix}@${topic}.` : `${tenant}.${pattern.prefix}`;
}

function clip(text: unknown): string {
  return String(text).slice(0, maxTypeLength);
}
