import { typeText } from "../../types/schema-type.ts";
import { printAnswer } from "../../ui/answer.ts";
import { colorsForStdout } from "../../ui/colors.ts";
import { CommandError } from "../../ui/errors.ts";
import { listOf } from "../../ui/suggest.ts";
import { oneLine, printable } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { current, pick, splitReference, usersOf, versionsOf } from "./find.ts";

export const runShow = oneShot(async ({ args: [given = ""], options, io }) => {
  const { schema: asSchema = false, json = false } = options as { readonly schema?: boolean; readonly json?: boolean };
  await using client = await connect(io);
  const { name, version } = splitReference(given);
  const [versions, users] = await Promise.all([versionsOf(client, name), usersOf(client)]);
  const found = version === undefined ? current(versions, users) : await pick(client, versions, users, version);
  if (!found)
    throw new CommandError("SCHEMA_NOT_FOUND", `schema ${oneLine(name)} has no version`, {
      hint: "`soorma schemas ls` lists what there is",
    });
  const usedBy = users.get(`${found.name}@${found.version}`) ?? [];
  if (json) {
    io.out(JSON.stringify({ ...found, usedBy, versions: versions.map((one) => one.version) }));
    return undefined;
  }
  if (asSchema) {
    printAnswer(found.schema, io);
    return undefined;
  }
  const colors = colorsForStdout(io);
  io.out(`${colors.bold(oneLine(found.name))}  ${found.version}`);
  if (found.description !== undefined) io.out(oneLine(found.description));
  const others = versions.filter((one) => one.version !== found.version).map((one) => one.version);
  io.out(colors.dim(usedBy.length > 0 ? `used by ${listOf(usedBy)}` : "used by no agent that runs"));
  if (others.length > 0) io.out(colors.dim(`other versions: ${listOf(others)}`));
  io.out("");
  // Where there is no terminal it is as wide as lines of code are.
  io.out(printable(typeText(found.schema, { width: io.stdoutColumns ?? 100, notes: true })));
  return undefined;
});
