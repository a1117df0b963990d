// Writes the tables of commands in the readmes out of the table of commands. A test says when it has to be run.
import { join } from "node:path";
import { commandReference, commandTable, fillIn } from "../src/commands/reference.ts";
import { commands } from "../src/commands/table.ts";

const cli = join(import.meta.dir, "..");
for (const [file, content] of [
  [join(cli, "..", "README.md"), commandTable(commands)],
  [join(cli, "README.md"), commandReference(commands)],
] as const) {
  await Bun.write(file, fillIn(await Bun.file(file).text(), "commands", content));
}
