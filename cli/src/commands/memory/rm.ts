import type { Client } from "@soorma/core";
import { confirmRemoval } from "../../ui/ask.ts";
import { CommandError, UsageError } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { count, oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { keyNotFound } from "./entry.ts";

interface RmOptions {
  readonly prefix?: boolean;
  readonly ifVersion?: number;
  readonly yes?: boolean;
  readonly tenant?: string;
  readonly json?: boolean;
}

/** Deletions under way at the same time: they share their flushes to disk. */
const atOnce = 50;
/** Entries taken in one go. */
const pageSize = 1_000;

export const runRm = oneShot(async ({ args: [key = ""], options, io }) => {
  const { prefix = false, ifVersion, tenant, json = false, yes = false } = options as RmOptions;
  if (prefix && ifVersion !== undefined) {
    throw new UsageError("--prefix and --if-version do not go together", "a version is of one entry");
  }
  await using client = await connect(io, { tenantId: tenant });
  const removed = prefix ? await removeAll(client, key, yes, io) : await removeOne(client, key, ifVersion);
  io.out(json ? JSON.stringify({ key, removed }) : `removed ${prefix ? count(removed, "entry") : oneLine(key)}`);
  return undefined;
});

async function removeOne(client: Client, key: string, ifVersion: number | undefined): Promise<number> {
  if (await client.memory.delete(key, ifVersion === undefined ? {} : { ifVersion })) return 1;
  throw await keyNotFound(client, key);
}

async function removeAll(client: Client, prefix: string, yes: boolean, io: Io): Promise<number> {
  const first = await client.memory.list(prefix, { limit: pageSize });
  if (first.length === 0)
    throw new CommandError("KEY_NOT_FOUND", `no key of memory begins with "${oneLine(prefix)}"`, {
      hint: "`soorma memory ls` lists them",
    });
  if (!yes) {
    const many = first.length < pageSize ? count(first.length, "entry") : `${pageSize} entries or more`;
    const what = prefix === "" ? `all of memory (${many})` : `${many} beginning with ${oneLine(prefix)}`;
    await confirmRemoval(io, what);
  }
  let removed = 0;
  for (let page = first; page.length > 0; page = await client.memory.list(prefix, { limit: pageSize })) {
    let here = 0;
    for (let at = 0; at < page.length; at += atOnce) {
      const gone = await Promise.all(page.slice(at, at + atOnce).map(({ key }) => client.memory.delete(key)));
      here += gone.filter(Boolean).length;
    }
    removed += here;
    // Somebody else removes them, too.
    if (here === 0) break;
  }
  return removed;
}
