import type { AgentRecord, Client, EventReceivers, SchemaRef, Topic } from "@soorma/core";
import { colorsFor } from "../ui/colors.ts";
import { UsageError } from "../ui/errors.ts";
import { readJsonArgument } from "../ui/json-source.ts";
import { listOf, suggest } from "../ui/suggest.ts";
import { count } from "../ui/text.ts";
import { connect } from "./connect.ts";
import { oneShot } from "./one-shot.ts";

interface PublishOptions {
  readonly topic?: Topic;
  readonly subject?: string;
  readonly session?: string;
  /** Absent means yes. */
  readonly check?: boolean;
  readonly json?: boolean;
}

export const runPublish = oneShot(async ({ args: [type = "", data = "{}"], options, io }) => {
  const { topic, subject, session, check = true, json = false } = options as PublishOptions;
  checkType(type);
  const parsed = await readJsonArgument(data, "the event's data", io);
  await using client = await connect(io);
  const receivers = client.registry.receivers(type, topic === undefined ? {} : { topic });
  if (check) await checkAgainstSchemas(client, receivers, type, parsed);
  const published = await client.bus.publish(type, parsed, {
    ...(topic === undefined ? {} : { topic }),
    ...(subject === undefined ? {} : { subject }),
    ...(session === undefined ? {} : { sessionId: session }),
  });
  const subscribers = receivers.subscribers.map(({ name }) => name);
  const groups = receivers.groups.map(({ group, members }) => ({ group, members: members.length }));
  if (json) io.out(JSON.stringify({ type, ...published, subscribers, groups }));
  else io.out(`published ${type} on ${published.topic} as ${published.id}: ${toWhom(subscribers, groups)}`);
  if (subscribers.length + groups.length === 0 && !json) {
    io.err(`${colorsFor(io).cyan("hint")}: ${await whoElse(client, type, topic)}`);
  }
  return undefined;
});

/** Told before the mesh's code is loaded, as wrong usage. */
function checkType(type: string): void {
  if (type.length <= 200 && /^[\w-]+(?:\.[\w-]+)*$/.test(type)) return;
  throw new UsageError(`"${type}" is no event type`, "it is words with dots between them: order.created");
}

function toWhom(
  subscribers: readonly string[],
  groups: readonly { readonly group: string; readonly members: number }[],
): string {
  const parts = [
    ...(subscribers.length > 0 ? [`${count(subscribers.length, "subscriber")} (${listOf(subscribers)})`] : []),
    ...(groups.length === 1 ? [`one member of group ${listOf(groups.map(groupText))}`] : []),
    ...(groups.length > 1 ? [`one member each of ${groups.length} groups (${listOf(groups.map(groupText))})`] : []),
  ];
  return parts.length > 0 ? `to ${parts.join(" and ")}` : "nobody subscribes to it";
}

function groupText({ group, members }: { readonly group: string; readonly members: number }): string {
  return members === 1 ? group : `${group} ×${members}`;
}

/** What might have been meant by a type that nobody takes. */
async function whoElse(client: Client, type: string, topic: Topic | undefined): Promise<string> {
  if (topic !== undefined) {
    const { subscribers, groups } = client.registry.receivers(type);
    if (subscribers.length + groups.length > 0)
      return `there are subscribers to ${type} on its own topic: leave --topic out`;
  }
  const records = await recordsOf(client);
  const taken = records.flatMap(({ consumes }) => consumes.map((ref) => ref.type));
  const produced = records.flatMap(({ produces }) => produces.map((ref) => ref.type));
  return suggest(
    type,
    [...produced.filter((known) => known !== type), ...taken],
    taken.length > 0 ? `agents subscribe to ${listOf(taken)}` : "no agent subscribes to anything",
  );
}

async function recordsOf(client: Client): Promise<AgentRecord[]> {
  return (await client.registry.query({})).map(({ record }) => record);
}

/**
 * Checks the data as those who get it will, or, if none of them says what it expects, as those who publish such events do.
 *
 * @throws {SoormaError} `PAYLOAD_INVALID` with the path of the first wrong field.
 */
async function checkAgainstSchemas(
  client: Client,
  receivers: EventReceivers,
  type: string,
  data: unknown,
): Promise<void> {
  const takers = [...receivers.subscribers, ...receivers.groups.flatMap(({ members }) => members)];
  const expected = refsOf(takers.flatMap(({ consumes }) => consumes.filter((ref) => ref.type === type)));
  const refs =
    expected.length > 0
      ? expected
      : refsOf((await recordsOf(client)).flatMap(({ produces }) => produces.filter((ref) => ref.type === type)));
  if (refs.length === 0) return;
  const { checkData } = await import("@soorma/core");
  for (const { name, version } of refs) {
    const [schema] = await client.registry.querySchemas({ name, version });
    if (schema)
      checkData(
        schema.schema,
        data,
        `data of event "${type}"`,
        "Correct the field, or publish it as it is with --no-check.",
      );
  }
}

function refsOf(events: readonly { readonly schema?: SchemaRef }[]): SchemaRef[] {
  const refs = events.flatMap(({ schema }) => (schema ? [schema] : []));
  return [...new Map(refs.map((ref) => [`${ref.name}@${ref.version}`, ref])).values()];
}
