import type { AgentRecord, Client, SchemaRecord } from "@soorma/core";
import { isSoormaError } from "@soorma/core/errors";
import { CommandError } from "../../ui/errors.ts";
import { listOf, suggest } from "../../ui/suggest.ts";
import { oneLine } from "../../ui/text.ts";

/** All versions of a schema, from the lowest on. */
export async function versionsOf(client: Client, name: string): Promise<SchemaRecord[]> {
  const versions = await client.registry.querySchemas({ name });
  if (versions.length > 0) return versions;
  const known = (await client.registry.querySchemas()).map((schema) => schema.name);
  const parts = known.filter((one) => one === `${name}.input` || one === `${name}.output`);
  throw new CommandError("SCHEMA_NOT_FOUND", `there is no schema "${oneLine(name)}"`, {
    hint:
      parts.length > 0
        ? `there is ${[...new Set(parts)].join(" and ")}`
        : suggest(
            name,
            known,
            known.length > 0 ? "`soorma schemas ls` lists those there are" : "no agent has registered any",
          ),
  });
}

/**
 * One of the versions: by itself, by a range of semver or `latest`, or by the beginning of it. Of several that a range admits it
 * is the one in use.
 */
export async function pick(
  client: Client,
  versions: readonly SchemaRecord[],
  users: Users,
  wanted: string,
): Promise<SchemaRecord> {
  const exact = versions.find(({ version }) => version === wanted);
  if (exact) return exact;
  const name = versions[0]?.name ?? "";
  const admitted = current(await admittedBy(client, name, wanted), users);
  if (admitted) return admitted;
  const beginning = versions.filter(({ version }) => version.startsWith(wanted)).map(({ version }) => version);
  const only = versions.find(({ version }) => version === beginning[0]);
  if (only && beginning.length === 1) return only;
  if (only) {
    throw new CommandError(
      "SCHEMA_AMBIGUOUS",
      `${beginning.length} versions of ${oneLine(name)} begin with "${wanted}"`,
      {
        hint: `say more of it: ${listOf(beginning)}`,
      },
    );
  }
  const all = versions.map(({ version }) => version);
  throw new CommandError("SCHEMA_NOT_FOUND", `schema ${oneLine(name)} has no version "${wanted}"`, {
    hint: suggest(wanted, all, `its versions are ${listOf(all)}`),
  });
}

async function admittedBy(client: Client, name: string, range: string): Promise<SchemaRecord[]> {
  try {
    return await client.registry.querySchemas({ name, version: range });
  } catch (error) {
    // It is no range.
    if (isSoormaError(error, "SCHEMA_INVALID")) return [];
    throw error;
  }
}

/** Names of the agents that run and use a version of a schema, by `name@version`. */
export type Users = ReadonlyMap<string, readonly string[]>;

/** `search.input@1.0.0` → name and version. */
export function splitReference(text: string): { name: string; version: string | undefined } {
  const at = text.lastIndexOf("@");
  return at > 0 ? { name: text.slice(0, at), version: text.slice(at + 1) } : { name: text, version: undefined };
}

export async function usersOf(client: Client): Promise<Users> {
  const users = new Map<string, string[]>();
  for (const { record } of await client.registry.query({})) {
    for (const ref of refsOf(record)) {
      const key = `${ref.name}@${ref.version}`;
      const names = users.get(key) ?? [];
      if (!names.includes(record.name)) users.set(key, [...names, record.name]);
    }
  }
  return users;
}

function refsOf({ goals, tasks, operations, consumes, produces }: AgentRecord) {
  const called = [...goals, ...tasks, ...operations].flatMap(({ input, output }) => [input, output]);
  return [...called, ...[...consumes, ...produces].map(({ schema }) => schema)].flatMap((ref) => (ref ? [ref] : []));
}

/** The version that is meant when none is named: one that an agent uses now, else the latest release, else the highest. */
export function current(versions: readonly SchemaRecord[], users: Users): SchemaRecord | undefined {
  const used = versions.filter(({ name, version }) => users.has(`${name}@${version}`));
  return (
    used.at(-1) ?? versions.filter(({ version }) => !version.split("+")[0]?.includes("-")).at(-1) ?? versions.at(-1)
  );
}
