import type { Client, Envelope, Topic } from "@soorma/core";
import { colorsForStdout } from "../../ui/colors.ts";
import { Interrupted, UsageError } from "../../ui/errors.ts";
import { createLineWriter } from "../../ui/line-writer.ts";
import { count } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { watchMeshLife } from "../mesh-life.ts";
import { findPlanId } from "../plans/find.ts";
import type { RunCommand } from "../spec.ts";
import { eventLine, gapLine } from "./event-line.ts";

interface TailOptions {
  readonly plan?: string;
  readonly trace?: string;
  readonly topic?: Topic;
  readonly limit?: number;
  readonly for?: number;
  readonly ids?: boolean;
  readonly json?: boolean;
}

const everything = ">";
const gapEvent = "system.bus.gap";
/** Milliseconds for what is still to be written, when the command ends. */
const lastWordsMs = 1_000;

export const runTail: RunCommand = async ({ args: [pattern = everything], options: given, io }) => {
  const options = given as TailOptions;
  const { topic, limit = Number.POSITIVE_INFINITY, ids = false, json = false } = options;
  checkPattern(pattern);
  await using client = await connect(io);
  const wanted = await filterOf(client, options);
  using life = watchMeshLife(io);
  const over = Promise.withResolvers<"enough" | "time" | "unread" | "interrupted">();
  const writer = createLineWriter(1);
  void writer.closed.then(() => over.resolve("unread"), over.reject);
  io.signal.addEventListener("abort", () => over.resolve("interrupted"), { once: true });
  if (io.signal.aborted) over.resolve("interrupted");

  const drawing = { colors: colorsForStdout(io), width: () => process.stdout.columns, ids };
  let shown = 0;
  let missed = 0;
  let unread = 0;
  const say = (line: string): boolean => {
    const dropped = writer.takeDropped();
    unread += dropped;
    if (dropped > 0) {
      const note = `${dropped} events are not shown: this output was read too slowly`;
      writer.push(json ? JSON.stringify({ unread: dropped }) : drawing.colors.yellow(`… ${note}`));
    }
    return writer.push(line);
  };
  const show = (event: Envelope): void => {
    if (shown >= limit || !wanted(event)) return;
    if (!say(json ? JSON.stringify(event) : eventLine(event, drawing))) return;
    shown++;
    if (shown >= limit) over.resolve("enough");
  };
  /** What this command itself missed. What others did comes as an event, to whoever wants it. */
  const isOwnGap = ({ type, source }: Envelope): boolean => type === gapEvent && source === client.agentId;
  await client.bus.subscribe(gapEvent, ({ respond: _respond, ...event }) => {
    if (!isOwnGap(event)) return;
    missed += Number(event.data.count);
    say(json ? JSON.stringify(event) : gapLine(event, drawing));
  });
  await client.bus.subscribe(
    pattern,
    ({ respond: _respond, ...event }) => {
      if (!isOwnGap(event)) show(event);
    },
    topic === undefined ? {} : { topic },
  );
  if (!json) io.err(`every event${pattern === everything ? "" : ` ${pattern}`} from now on; Ctrl-C ends`);
  const timer = options.for === undefined ? undefined : setTimeout(() => over.resolve("time"), options.for * 1000);
  let why: Awaited<typeof over.promise>;
  try {
    why = await Promise.race([over.promise, life.ended]);
  } finally {
    clearTimeout(timer);
    await Promise.race([writer.flush(), Bun.sleep(lastWordsMs)]);
  }
  unread += writer.takeDropped();
  const sums = [
    count(shown, "event"),
    ...(missed > 0 ? [`${missed} missed`] : []),
    ...(unread > 0 ? [`${unread} not shown`] : []),
  ].join(", ");
  if (why === "interrupted") throw new Interrupted(sums);
  if (!json && why === "time") io.err(sums);
  return undefined;
};

async function filterOf(client: Client, { plan, trace }: TailOptions): Promise<(event: Envelope) => boolean> {
  const planId = plan === undefined ? undefined : await findPlanId(client, plan);
  return (event) =>
    (planId === undefined || event.planId === planId) && (trace === undefined || event.traceId === trace);
}

/** Told before the mesh's code is loaded, as wrong usage. */
function checkPattern(pattern: string): void {
  if (pattern.length <= 200 && /^(?:(?:[\w-]+|\*)(?:\.(?:[\w-]+|\*))*(?:\.(?:>|\*\*))?|>|\*\*)$/.test(pattern)) return;
  throw new UsageError(
    `"${pattern}" is no event pattern`,
    `it is an event's type, in which * stands for one word and a last > for the rest: "order.*", "order.>"`,
  );
}
