// Writes the tables of commands in the readmes, and llms.txt, out of what they are about. A test says when it has to be run.
import { join } from "node:path";
import { commandReference, commandTable, fillIn } from "../src/commands/reference.ts";
import { commands } from "../src/commands/table.ts";
import { llmsText } from "./llms.ts";

const cli = join(import.meta.dir, "..");
for (const [file, content] of [
  [join(cli, "..", "README.md"), commandTable(commands)],
  [join(cli, "README.md"), commandReference(commands)],
] as const) {
  await Bun.write(file, fillIn(await Bun.file(file).text(), "commands", content));
}
await Bun.write(join(cli, "..", "llms.txt"), llmsText());
