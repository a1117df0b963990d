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

test("every command, and every group of them, ends its help with two examples, of itself too", () => {
  const all = commands.flatMap((spec) =>
    "commands" in spec
      ? spec.commands.map((one) => [`soorma ${spec.name} ${one.name}`, one] as const)
      : [[`soorma ${spec.name}`, spec] as const],
  );
  const wrong = all.filter(([, { examples = [] }]) => examples.length !== 2).map(([name]) => name);
  expect([...wrong, ...commands.filter(({ examples = [] }) => examples.length !== 2).map(({ name }) => name)]).toEqual(
    [],
  );
  for (const [name, { examples = [] }] of all) {
    expect(examples.some(([line]) => line.includes(name) || line.includes(name.split(" ").slice(0, 2).join(" ")))).toBe(
      true,
    );
  }
});
