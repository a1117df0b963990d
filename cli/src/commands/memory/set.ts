import { readJsonArgument, readTextArgument } from "../../ui/json-source.ts";
import { oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";

interface SetOptions {
  readonly ttl?: number;
  readonly ifVersion?: number;
  readonly text?: boolean;
  readonly tenant?: string;
  readonly json?: boolean;
}

export const runSet = oneShot(async ({ args: [key = "", given = ""], options, io }) => {
  const { ttl, ifVersion, text = false, tenant, json = false } = options as SetOptions;
  const value = text
    ? await readTextArgument(given, "the value", io)
    : await readJsonArgument(given, "the value", io, "--text takes it as text");
  await using client = await connect(io, { tenantId: tenant });
  const { version } = await client.memory.store(key, value, {
    ...(ttl === undefined ? {} : { ttlMs: ttl }),
    ...(ifVersion === undefined ? {} : { ifVersion }),
  });
  const lasting = ttl === undefined ? "" : `, for ${formatDuration(ttl)}`;
  io.out(json ? JSON.stringify({ key, version }) : `stored ${oneLine(key)} as version ${version}${lasting}`);
  return undefined;
});
