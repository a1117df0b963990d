import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { llmsText } from "../../scripts/llms.ts";
import { commandReference, commandTable, fillIn } from "./reference.ts";
import { commands } from "./table.ts";

const cli = join(import.meta.dir, "..", "..");

test.each([
  ["README.md", join(cli, "..", "README.md"), commandTable(commands)],
  ["cli/README.md", join(cli, "README.md"), commandReference(commands)],
])("%s says what the table of commands says; `bun run docs` brings it up to date", (_name, path, content) => {
  const page = readFileSync(path, "utf8");
  expect(fillIn(page, "commands", content)).toBe(page);
});

test("llms.txt says what the readmes and the commands say; `bun run docs` brings it up to date", () => {
  expect(readFileSync(join(cli, "..", "llms.txt"), "utf8")).toBe(llmsText());
});

test("a page without the place is a mistake", () => {
  expect(() => fillIn("# nothing", "commands", "x")).toThrow("<!-- commands -->");
});

test("pipes in a cell do not end it", () => {
  expect(commandTable([{ name: "a", summary: "this | that", load: () => Promise.reject(new Error()) }])).toContain(
    "this \\| that |",
  );
});
