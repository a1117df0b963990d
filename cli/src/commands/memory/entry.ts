import type { Client, MemoryEntry } from "@soorma/core";
import { CommandError } from "../../ui/errors.ts";
import { suggest } from "../../ui/suggest.ts";
import { oneLine } from "../../ui/text.ts";

/** Entries that are looked through for a key that was probably meant. */
const mostKeys = 1_000;

/** @throws {CommandError} `KEY_NOT_FOUND` naming the nearest key. */
export async function entryOf(client: Client, key: string): Promise<MemoryEntry> {
  const entry = await client.memory.entry(key);
  if (entry) return entry;
  throw await keyNotFound(client, key);
}

export async function keyNotFound(client: Client, key: string): Promise<CommandError> {
  // Most slips are behind what keys have in common: `user:7:prfs`.
  const [start = ""] = /^.*[:/.]/.exec(key) ?? [];
  const near = await client.memory.list(start, { limit: mostKeys });
  const all = near.length > 0 ? near : await client.memory.list("", { limit: mostKeys });
  return new CommandError("KEY_NOT_FOUND", `memory has no entry "${oneLine(key)}"`, {
    hint: suggest(
      key,
      all.map((entry) => entry.key),
      all.length > 0 ? "`soorma memory ls` lists the keys there are" : "memory is empty",
    ),
  });
}
