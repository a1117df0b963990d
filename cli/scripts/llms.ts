/** Makes `llms.txt`, the entry page for language models (llmstxt.org), out of the readmes and the table of commands. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CommandGroup, CommandSpec } from "../src/commands/spec.ts";
import { commands } from "../src/commands/table.ts";

const repository = join(import.meta.dir, "..", "..");

/** What a model gets wrong when nobody says so. */
const notes = [
  'An app depends on the one package `soorma` and imports everything from "soorma". It needs Bun 1.4.5 or newer; Node cannot load it.',
  "`await agent.run()` at the end of the module; the process goes on until it is stopped. `soorma dev` runs one process an agent.",
  "A task's handler returns its result and may run again: what must not happen twice goes into `task.step(name, work)`.",
  "Handlers get `(task | goal | request | event, context)`; `context` has `registry`, `memory`, `bus` and `tracker`. Never pass trace or plan ids by hand.",
  "Contracts (`defineTask`, `defineTool`, `defineGoal`, `defineEvent`) take TypeBox schemas; `Type` is exported by soorma.",
  "Failures are `SoormaError`s with a `code`; `NonRetryableError` in a handler ends a task at once.",
  "Commands print their answer to stdout and everything else to stderr; `--json` everywhere; exit codes 0, 1, 2, 130.",
];

const pages = [
  "README.md",
  "cli/README.md",
  "core/README.md",
  "core/GUARANTEES.md",
  "core/ERRORS.md",
  "core/testing/README.md",
  "templates/README.md",
  "CHANGELOG.md",
];
const internals = [
  "broker/README.md",
  "plugins/*/README.md",
  "core/src/*/README.md",
  "cli/src/*/README.md",
  "tests/*/README.md",
];

export function llmsText(): string {
  const readme = page("README.md");
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const start = /## Your own project[\s\S]*?```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const optional = internals
    .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(repository)])
    .filter((path) => !path.includes("node_modules"))
    .sort();
  return [
    "# Soorma",
    `> ${firstParagraph(readme)}`,
    notes.map((note) => `- ${note}`).join("\n"),
    `An agent:\n\n\`\`\`ts\n${example}\`\`\``,
    `From a clone to an answered goal:\n\n\`\`\`sh\n${start}\`\`\``,
    `## Documentation\n\n${pages.map(link).join("\n")}`,
    `## Commands\n\n${commands.flatMap((spec) => commandLines(spec)).join("\n")}`,
    `## Optional\n\n${["CONTRIBUTING.md", ...optional].map(link).join("\n")}`,
    "",
  ]
    .join("\n\n")
    .replace(/\n+$/, "\n");
}

function commandLines(spec: CommandSpec | CommandGroup, under: readonly string[] = []): string[] {
  if ("commands" in spec) return spec.commands.flatMap((command) => commandLines(command, [...under, spec.name]));
  const words = ["soorma", ...under, spec.name, ...(spec.arguments ?? []).map(({ name }) => name)];
  return [`- \`${words.join(" ")}\`: ${spec.summary}`];
}

function link(path: string): string {
  const text = page(path);
  const title = /^# (.+)$/m.exec(text)?.[1] ?? path;
  return `- [${title}](${path}): ${firstSentence(firstParagraph(text))}`;
}

function page(path: string): string {
  return readFileSync(join(repository, path), "utf8");
}

/** The first paragraph under the title, in one line, without links. */
function firstParagraph(text: string): string {
  const paragraphs = text.replace(/^# .+$/m, "").split(/\n{2,}/);
  const found = paragraphs.find((paragraph) => /^(?:[A-Za-z[]|`(?!``))/.test(paragraph.trim())) ?? "";
  return found
    .trim()
    .replace(/\s+/g, " ")
    .replace(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}

function firstSentence(paragraph: string): string {
  return /^.*?[.:](?= |$)/.exec(paragraph)?.[0]?.replace(/:$/, ".") ?? paragraph;
}
