import type { LogLevel } from "@soorma/core";
import { agentNameOf } from "../ui/agent-name.ts";
import { levelOrder, type MeshLogLine } from "./log-line.ts";

export interface LogFilter {
  /** Of this process; an agent with several instances stands for all of them. */
  readonly agent?: string;
  /** The same of several. */
  readonly processes?: readonly string[];
  /** At least. */
  readonly level?: LogLevel;
  /** Milliseconds since the epoch. */
  readonly sinceMs?: number;
  readonly grep?: RegExp;
}

export function isShown(line: MeshLogLine, { agent, processes, level, sinceMs, grep }: LogFilter): boolean {
  if (agent !== undefined && !isOf(line.name, agent)) return false;
  if (processes !== undefined && !processes.includes(line.name)) return false;
  if (level !== undefined && levelOrder(line.level) < levelOrder(level)) return false;
  if (sinceMs !== undefined && line.timeMs < sinceMs) return false;
  if (!grep) return true;
  return [line.line, line.traceId ?? "", line.component ?? ""].some((text) => grep.test(text));
}

/** `worker-2` is an instance of `worker`. */
export function isOf(name: string, agent: string): boolean {
  return name === agent || (name.startsWith(`${agent}-`) && /^\d+$/.test(name.slice(agent.length + 1)));
}

/** Agents by the names that the mesh knows them by, with the processes they were ready in: those are called after files. */
export function agentsIn(lines: readonly MeshLogLine[]): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>();
  for (const { name, event, fields } of lines) {
    const agent = event === "agent.ready" ? agentNameOf(String(fields?.agentId)) : undefined;
    if (agent === undefined || found.get(agent)?.includes(name)) continue;
    found.set(agent, [...(found.get(agent) ?? []), name]);
  }
  return found;
}

/** A regular expression, whatever the case. @throws {TypeError} for what is none. */
export function parseGrep(text: string): RegExp {
  try {
    return new RegExp(text, "iu");
  } catch (cause) {
    throw new TypeError(`${text} is no regular expression: ${cause instanceof Error ? cause.message : cause}`);
  }
}

/**
 * What a person typed to see less: names of processes and levels, and any other words as text to look for.
 *
 * @param names - Of the processes there are.
 */
export function filterOfWords(text: string, names: readonly string[]): LogFilter {
  let filter: LogFilter = {};
  const rest: string[] = [];
  for (const word of text.trim().split(/\s+/)) {
    if (word === "") continue;
    const level = (["debug", "info", "warn", "error"] as const).find((name) => name === word);
    if (level) filter = { ...filter, level };
    else if (names.some((name) => isOf(name, word))) filter = { ...filter, agent: word };
    else rest.push(word);
  }
  if (rest.length === 0) return filter;
  // Words that a person types are text: a dot is a dot.
  return { ...filter, grep: new RegExp(rest.join(" ").replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu") };
}
