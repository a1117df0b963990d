import type { SchemaRecord } from "@soorma/core";
import { diffSchemas, isBreaking, roleOf, type SchemaRole } from "../../types/schema-diff.ts";
import { colorsForStdout } from "../../ui/colors.ts";
import { CommandError } from "../../ui/errors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { current, pick, splitReference, usersOf, versionsOf } from "./find.ts";

const broken: Readonly<Record<SchemaRole, string>> = {
  input: "callers that send what the old version asks for",
  output: "callers that expect what the old version promises",
  event: "publishers or subscribers that keep to the old version",
};

export const runDiff = oneShot(async ({ args: [given = "", first, second], options, io }) => {
  const { check = false, json = false } = options as { readonly check?: boolean; readonly json?: boolean };
  await using client = await connect(io);
  const { name, version } = splitReference(given);
  const [older, newer] = version === undefined ? [first, second] : [version, first];
  const [versions, users] = await Promise.all([versionsOf(client, name), usersOf(client)]);
  const chosen = (wanted: string): Promise<SchemaRecord> =>
    pick(client, versions, users, splitReference(wanted).version ?? wanted);
  const to = newer === undefined ? current(versions, users) : await chosen(newer);
  const from = older === undefined ? before(versions, to) : await chosen(older);
  if (!from || !to) {
    throw new CommandError(
      "SCHEMA_NOT_FOUND",
      `schema ${oneLine(name)} has one version, ${versions[0]?.version ?? ""}: there is nothing to compare it with`,
      {
        hint: "an agent registers another one when its contract says another `version`",
      },
    );
  }
  const role = roleOf(name);
  const changes = diffSchemas(from.schema, to.schema).map((change) => ({
    ...change,
    breaking: isBreaking(change, role),
  }));
  const breaking = changes.filter((change) => change.breaking).length;
  const bump = bumpOf(from.version, to.version);
  const isAllowed = breaking === 0 || bump === "major" || bump === "none";
  if (json) {
    io.out(JSON.stringify({ name, from: from.version, to: to.version, role, bump, breaking: breaking > 0, changes }));
  } else {
    for (const line of drawn()) io.out(line);
  }
  return check && !isAllowed ? 1 : undefined;

  function drawn(): string[] {
    const colors = colorsForStdout(io);
    const head = `${colors.bold(oneLine(name))}  ${from?.version} → ${to?.version}`;
    if (changes.length === 0) return [head, "no difference"];
    const rows = changes.map(({ path, what, breaking: breaks }) => [
      breaks ? colors.red("✗ breaking") : colors.green("✓ fits"),
      oneLine(path),
      oneLine(what),
    ]);
    const columns = [{ title: "" }, { title: "", least: 8 }, { title: "", least: 12 }];
    const sum =
      breaking === 0
        ? "nothing breaks"
        : `${breaking === 1 ? "1 change breaks" : `${breaking} changes break`} ${broken[role]}`;
    return [
      head,
      ...table(columns, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors }).slice(1),
      breaking === 0 ? sum : colors.red(sum),
      ...(isAllowed ? [] : [colors.yellow(`by semver that is a new major version, not a ${bump} one`)]),
    ];
  }
});

function before(versions: readonly SchemaRecord[], to: SchemaRecord | undefined): SchemaRecord | undefined {
  const at = versions.findIndex((one) => one === to || one.version === to?.version);
  // The lowest has nothing before it: then with the next one.
  return at > 0 ? versions[at - 1] : versions[at + 1];
}

type Bump = "major" | "minor" | "patch" | "none";

/** What semver calls the step from one version to another. Below 1.0.0 a minor version may break, too. */
function bumpOf(from: string, to: string): Bump {
  const numbers = (version: string): number[] => (version.split(/[-+]/)[0] ?? "").split(".").map(Number);
  const [a = [], b = []] = [numbers(from), numbers(to)];
  if (a[0] !== b[0]) return "major";
  if (a[1] !== b[1]) return a[0] === 0 ? "major" : "minor";
  // Of one version under development there are many contents.
  return a[2] !== b[2] ? "patch" : "none";
}
