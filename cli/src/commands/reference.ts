import type { CommandGroup, CommandSpec } from "./spec.ts";

/** The commands as a Markdown table, for an overview. */
export function commandTable(commands: readonly (CommandSpec | CommandGroup)[]): string {
  return table(
    ["Command", "What it does"],
    commands.map((spec) => [code("commands" in spec ? `soorma ${spec.name} …` : usage(spec)), spec.summary]),
  );
}

/** Every command with all it takes, as Markdown. */
export function commandReference(commands: readonly (CommandSpec | CommandGroup)[]): string {
  return commands.map((spec) => ("commands" in spec ? group(spec) : section(spec, [], "###"))).join("\n\n");
}

function group(spec: CommandGroup): string {
  return [
    `### ${code(`soorma ${spec.name}`)}`,
    spec.description ?? capitalized(spec.summary),
    ...(spec.default === undefined ? [] : [`Without a command: ${code(`soorma ${spec.name} ${spec.default}`)}.`]),
    ...spec.commands.map((command) => section(command, [spec.name], "####")),
  ].join("\n\n");
}

function section(spec: CommandSpec, under: readonly string[], heading: string): string {
  const options = (spec.options ?? []).filter((option) => !option.hidden);
  const rows = [
    ...(spec.arguments ?? []).map(({ name, description }) => [code(name), description]),
    ...options.map(({ flags, description, choices }) => [
      code(flags),
      choices ? `${description}: ${choices.join(", ")}` : description,
    ]),
  ];
  const examples = (spec.examples ?? []).map(([line, what]) => `${line}    # ${what}`);
  return [
    `${heading} ${code(usage(spec, under))}`,
    spec.description ?? capitalized(spec.summary),
    ...(rows.length > 0 ? [table(["", ""], rows)] : []),
    ...(examples.length > 0 ? [`\`\`\`sh\n${examples.join("\n")}\n\`\`\``] : []),
  ].join("\n\n");
}

function capitalized(summary: string): string {
  return `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`;
}

function usage({ name, arguments: given = [] }: CommandSpec, under: readonly string[] = []): string {
  return ["soorma", ...under, name, ...given.map((argument) => argument.name)].join(" ");
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...all.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [first = [], ...rest] = all;
  return [line(first), line(widths.map((width) => "-".repeat(width))), ...rest.map(line)].join("\n");
}

/**
 * Replaces what stands between `<!-- name -->` and `<!-- /name -->`.
 *
 * @throws {TypeError} when the page has no such place.
 */
export function fillIn(page: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [before, inside] = page.split(begin);
  const after = inside?.split(end)[1];
  if (before === undefined || after === undefined) throw new TypeError(`the page has no ${begin} … ${end}`);
  return `${before}${begin}\n\n${content}\n\n${end}${after}`;
}
