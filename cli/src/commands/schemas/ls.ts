import { colorsForStdout } from "../../ui/colors.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { current, usersOf } from "./find.ts";

export const runLs = oneShot(async ({ args: [prefix = ""], options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect(io);
  const [all, users] = await Promise.all([client.registry.querySchemas(), usersOf(client)]);
  const schemas = [
    ...Map.groupBy(
      all.filter(({ name }) => name.startsWith(prefix)),
      ({ name }) => name,
    ),
  ].map(([name, versions]) => {
    const shown = current(versions, users);
    return {
      name,
      current: shown?.version ?? "",
      versions: versions.map(({ version }) => version),
      usedBy: [...new Set(versions.flatMap(({ version }) => users.get(`${name}@${version}`) ?? []))],
      ...(shown?.description === undefined ? {} : { description: shown.description }),
    };
  });
  if (json) {
    io.out(JSON.stringify(schemas));
    return undefined;
  }
  if (schemas.length === 0) {
    io.err(prefix === "" ? "no agent has registered a schema" : `no schema's name begins with ${oneLine(prefix)}`);
    return undefined;
  }
  const colors = colorsForStdout(io);
  const columns = [
    // Name and version are whole: they are what `schemas show` and `schemas diff` are given.
    { title: "SCHEMA" },
    { title: "VERSION" },
    { title: "OF", align: "right", rank: 3 },
    { title: "USED BY", least: 8, rank: 2 },
    { title: "DESCRIPTION", least: 12, rank: 4 },
  ] as const;
  const rows = schemas.map(({ name, current: version, versions, usedBy, description = "" }) => [
    oneLine(name),
    version,
    String(versions.length),
    usedBy.join(", "),
    colors.dim(oneLine(description)),
  ]);
  for (const line of table(columns, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors }))
    io.out(line);
  return undefined;
});
