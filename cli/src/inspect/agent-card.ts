import type { AgentMetrics, AgentRecord, AgentStats, EventRef, Operation, SchemaRecord, SchemaRef } from "@soorma/core";
import { typeText } from "../types/schema-type.ts";
import { formatBytes } from "../ui/amounts.ts";
import type { Colors } from "../ui/colors.ts";
import { table } from "../ui/table.ts";
import { clip, cut, oneLine } from "../ui/text.ts";
import { formatDuration } from "../ui/time.ts";
import type { ProcessView } from "./processes.ts";

/** A running instance, with what its process says of it. */
export interface Instance {
  readonly record: AgentRecord;
  readonly process?: ProcessView;
  readonly stats?: AgentStats;
}

/** All there is to know of one agent. */
export interface AgentCard {
  readonly name: string;
  readonly instances: readonly Instance[];
  /** Of the schemas its records name, those that are registered, by `name@version`. */
  readonly schemas: ReadonlyMap<string, SchemaRecord>;
  readonly metrics?: AgentMetrics;
}

interface DrawOptions {
  readonly width: number;
  readonly colors: Colors;
  readonly nowMs: number;
}

export function refText({ name, version }: SchemaRef): string {
  return `${name}@${version}`;
}

/** The card as lines: what the agent is, what it can be asked for, what it takes and emits, where it runs, how it does. */
export function drawCard(card: AgentCard, options: DrawOptions): string[] {
  const { colors, width } = options;
  const [first] = card.instances;
  if (!first) return [];
  const { kind, version, description } = first.record;
  const versions = [...new Set(card.instances.map(({ record }) => record.version))];
  const lines = [
    `${colors.bold(card.name)}  ${kind}  ${versions.length > 1 ? colors.yellow(versions.join(", ")) : version}`,
    ...(description === "" ? [] : wrapped(oneLine(description), width)),
  ];
  const records = card.instances.map(({ record }) => record);
  const capabilities = unique(
    records.flatMap((record) => record.capabilities),
    (one) => one,
  );
  if (capabilities.length > 0)
    lines.push("", heading("Capabilities", colors), ...wrapped(capabilities.join(", "), width, 2));
  const operations = [
    [
      "Goals",
      unique(
        records.flatMap(({ goals }) => goals),
        ({ name }) => name,
      ),
    ],
    [
      "Tasks",
      unique(
        records.flatMap(({ tasks }) => tasks),
        ({ name }) => name,
      ),
    ],
    [
      "Operations",
      unique(
        records.flatMap((record) => record.operations),
        ({ name }) => name,
      ),
    ],
  ] as const;
  for (const [title, all] of operations) {
    if (all.length > 0)
      lines.push("", heading(title, colors), ...all.flatMap((one) => drawOperation(one, card, options)));
  }
  const events = [
    [
      "Takes events",
      unique(
        records.flatMap(({ consumes }) => consumes),
        keyOf,
      ),
    ],
    [
      "Emits events",
      unique(
        records.flatMap(({ produces }) => produces),
        keyOf,
      ),
    ],
  ] as const;
  for (const [title, all] of events) {
    if (all.length > 0) lines.push("", heading(title, colors), ...all.flatMap((one) => drawEvent(one, card, options)));
  }
  lines.push("", heading("Instances", colors), ...drawInstances(card.instances, options));
  const { metrics } = card;
  if (metrics) {
    const { count, failures, medianMs, p95Ms } = metrics;
    const text = `${count} ended, ${failures} failed · median ${formatDuration(medianMs)} · p95 ${formatDuration(p95Ms)}`;
    const attempts = wrapped(text, width, 2);
    lines.push("", heading("Attempts at tasks", colors), ...(failures > 0 ? attempts.map(colors.red) : attempts));
  }
  return lines.map((line) => clip(line, width));
}

function heading(title: string, colors: Colors): string {
  return colors.cyan(title);
}

function drawOperation(
  { name, description, input, output, timeoutMs, retry }: Operation,
  card: AgentCard,
  options: DrawOptions,
): string[] {
  const { colors } = options;
  const facts = [
    ...(description === undefined ? [] : [oneLine(description)]),
    ...(timeoutMs === undefined ? [] : [`at most ${formatDuration(timeoutMs)}`]),
    ...(retry?.maxAttempts === undefined ? [] : [`${retry.maxAttempts} attempts`]),
  ];
  return [
    `  ${colors.bold(name)}${facts.length > 0 ? `  ${facts.join(" · ")}` : ""}`,
    ...(input ? drawSchema("takes", input, card, options) : []),
    ...(output ? drawSchema("gives", output, card, options) : []),
  ];
}

function drawEvent({ type, topic, group, schema }: EventRef, card: AgentCard, options: DrawOptions): string[] {
  const facts = [...(topic === undefined ? [] : [topic]), ...(group === undefined ? [] : [`group ${group}`])];
  return [
    `  ${options.colors.bold(type)}${facts.length > 0 ? `  ${options.colors.dim(facts.join(" · "))}` : ""}`,
    ...(schema ? drawSchema("data", schema, card, options) : []),
  ];
}

function drawSchema(word: string, ref: SchemaRef, card: AgentCard, { width, colors }: DrawOptions): string[] {
  const found = card.schemas.get(refText(ref));
  const lead = `    ${colors.dim(word)} `;
  const room = Math.max(20, width - 5 - word.length);
  const text = found
    ? typeText(found.schema, { width: Math.min(room, 100) })
    : colors.yellow("a schema that is not registered");
  const [first = "", ...rest] = text.split("\n").map((line) => oneLineKeepingIndent(line));
  const last = colors.dim(cut(refText(ref), room));
  const fits = rest.length === 0 && Bun.stringWidth(first) + Bun.stringWidth(last) + 2 <= room;
  return [
    `${lead}${first}${fits ? `  ${last}` : ""}`,
    ...rest.map((line) => `      ${line}`),
    ...(fits ? [] : [`      ${last}`]),
  ];
}

/** Of others, so without control characters. */
function oneLineKeepingIndent(line: string): string {
  const [indent = ""] = /^ */.exec(line) ?? [];
  return indent + oneLine(line);
}

function drawInstances(instances: readonly Instance[], { width, colors, nowMs }: DrawOptions): string[] {
  const columns = [
    { title: "  PID", align: "right" },
    { title: "ID" },
    { title: "UP", align: "right", rank: 3 },
    { title: "MEM", align: "right", rank: 2 },
    { title: "RUN", align: "right" },
    { title: "DONE", align: "right", rank: 4 },
    { title: "FAILED", align: "right", rank: 5 },
    { title: "HOST", least: 6, rank: 6 },
  ] as const;
  const rows = instances.map(({ record, process, stats }) => {
    const done = stats && stats.events.handled + stats.requests.answered + (stats.tasks?.succeeded ?? 0);
    const failed = stats && stats.events.failed + stats.requests.failed + (stats.tasks?.failed ?? 0);
    return [
      `  ${record.pid}`,
      record.ready ? record.agentId : `${record.agentId} ${colors.yellow("not ready")}`,
      formatDuration(Math.max(0, nowMs - record.startedAtMs)),
      process?.rssBytes === undefined ? "–" : formatBytes(process.rssBytes),
      stats ? String(stats.handlers.running + (stats.tasks?.running ?? 0)) : colors.red("no answer"),
      done === undefined ? "–" : String(done),
      failed === undefined ? "–" : failed > 0 ? colors.red(String(failed)) : "0",
      oneLine(record.host),
    ];
  });
  return table(columns, rows, { width, colors });
}

function keyOf({ type, topic, group }: EventRef): string {
  return JSON.stringify([type, topic, group]);
}

function unique<T>(all: readonly T[], keyOf: (one: T) => string): T[] {
  return [...new Map(all.map((one) => [keyOf(one), one])).values()];
}

/** Text in lines of so many columns, broken between words. */
function wrapped(text: string, width: number, indent = 0): string[] {
  const lead = " ".repeat(indent);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && Bun.stringWidth(longer) > width - indent) {
      lines.push(lead + line);
      line = word;
    } else line = longer;
  }
  return [...lines, lead + line];
}
