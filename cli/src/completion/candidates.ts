import type { CommandGroup, CommandSpec, OptionSpec } from "../commands/spec.ts";

/** What may stand at the cursor. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** Values that are known only when they are asked for. */
export interface ValueSources {
  /** Names of live agents. */
  agents(): Promise<readonly Candidate[]>;
  /** Names in the project, live or not. */
  projectAgents(): Promise<readonly Candidate[]>;
  plans(): Promise<readonly Candidate[]>;
  planners(): Promise<readonly Candidate[]>;
  /** Types of goals that a live planner takes. */
  goals(): Promise<readonly Candidate[]>;
  /** Types of events that live agents take or emit. */
  events(which: "consumes" | "produces"): Promise<readonly Candidate[]>;
  capabilities(): Promise<readonly Candidate[]>;
  /** Of the agents that have a capability. */
  operations(capability: string): Promise<readonly Candidate[]>;
  /** Keys of memory that begin so. */
  keys(prefix: string): Promise<readonly Candidate[]>;
  schemas(): Promise<readonly Candidate[]>;
  environments(): Promise<readonly Candidate[]>;
  settings(): Promise<readonly Candidate[]>;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** The shell adds names of files. */
  readonly files?: "any" | "folders";
}

type Spec = CommandSpec | CommandGroup;

const help: OptionSpec = { flags: "-h, --help", description: "show this help" };
const none: Completion = { candidates: [] };

/**
 * What may stand at the cursor of a command line.
 *
 * @param words - Everything after `soorma` up to the cursor; the last one is what the cursor stands at, empty for a new word.
 */
export async function completionOf(
  specs: readonly Spec[],
  words: readonly string[],
  sources: ValueSources,
): Promise<Completion> {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? "";
  const found = await at(specs, before, current, sources);
  // Names come from whoever is in the mesh: nothing is offered that a shell would read as more than a word.
  const safe = found.candidates.filter(({ value }) => /^[\w.:@%+,/=-]+$/.test(value) && value.startsWith(current));
  return { ...found, candidates: unique(safe) };
}

async function at(
  specs: readonly Spec[],
  before: readonly string[],
  current: string,
  sources: ValueSources,
): Promise<Completion> {
  const [first, ...rest] = before;
  if (first === undefined) {
    const names = [...specs.map(named), { value: "help", description: "show the help of a command" }];
    return current.startsWith("-")
      ? { candidates: flagsOf([help, { flags: "-V, --version", description: "print the version" }], []) }
      : { candidates: names };
  }
  if (first === "help") return { candidates: rest.length === 0 ? specs.map(named) : [] };
  const spec = specs.find(({ name }) => name === first);
  if (!spec) return none;
  if (!("commands" in spec)) return await inCommand(spec, undefined, rest, current, sources);
  const inner = spec.commands.find(({ name }) => name === rest[0]);
  if (inner) return await inCommand(inner, spec, rest.slice(1), current, sources);
  const byDefault = spec.commands.find(({ name }) => name === spec.default);
  if (rest.length > 0) return byDefault ? await inCommand(byDefault, spec, rest, current, sources) : none;
  if (!current.startsWith("-")) return { candidates: spec.commands.map(named) };
  return byDefault ? await inCommand(byDefault, spec, rest, current, sources) : { candidates: flagsOf([help], []) };
}

function named({ name, summary }: Spec): Candidate {
  return { value: name, description: summary };
}

async function inCommand(
  spec: CommandSpec,
  group: CommandGroup | undefined,
  before: readonly string[],
  current: string,
  sources: ValueSources,
): Promise<Completion> {
  const options = [...(spec.options ?? []).filter(({ hidden }) => !hidden), help];
  const optionOf = (word: string): OptionSpec | undefined =>
    options.find(({ flags }) => namesOf(flags).includes(word.split("=", 1)[0] ?? ""));
  const previous = before.at(-1);
  const pending = previous?.startsWith("-") && !previous.includes("=") ? optionOf(previous) : undefined;
  if (pending && placeholderOf(pending.flags) !== undefined) {
    return await valuesOfOption(pending, spec, group, before, sources);
  }
  const [flag, text] = current.startsWith("--") ? current.split("=", 2) : [];
  if (flag !== undefined && text !== undefined) {
    const option = optionOf(flag);
    if (!option) return none;
    const { candidates, files } = await valuesOfOption(option, spec, group, before, sources);
    const whole = candidates.map((candidate) => ({ ...candidate, value: `${flag}=${candidate.value}` }));
    return { candidates: whole, ...(files === undefined ? {} : { files }) };
  }
  if (current.startsWith("-")) return { candidates: flagsOf(options, before) };
  const given = argumentsIn(before, optionOf);
  const argument = spec.arguments?.[given.length];
  if (!argument) return { candidates: flagsOf(options, before) };
  return await valuesOf(bare(argument.name), { spec, group, given, current, sources });
}

function valuesOfOption(
  option: OptionSpec,
  spec: CommandSpec,
  group: CommandGroup | undefined,
  before: readonly string[],
  sources: ValueSources,
): Promise<Completion> | Completion {
  if (option.choices) return { candidates: option.choices.map((value) => ({ value })) };
  const [long = ""] = namesOf(option.flags).filter((name) => name.startsWith("--"));
  const placeholder = placeholderOf(option.flags) ?? "";
  // What an option takes is told by its own name where `<name>` does not say.
  const what = placeholder === "name" || long === "--goal" ? long.slice(2) : placeholder;
  // The key that a page begins after is no key to complete.
  return valuesOf(what === "key" ? "" : what, { spec, group, given: before, current: "", sources });
}

interface Place {
  readonly spec: CommandSpec;
  readonly group: CommandGroup | undefined;
  /** Arguments before this one. */
  readonly given: readonly string[];
  readonly current: string;
  readonly sources: ValueSources;
}

/** By what an argument is called. */
async function valuesOf(what: string, { spec, group, given, current, sources }: Place): Promise<Completion> {
  switch (what) {
    case "folder":
      return { candidates: [], files: "folders" };
    case "file":
      return { candidates: [], files: "any" };
    case "agent":
      return { candidates: group?.name === "agents" ? await sources.agents() : await sources.projectAgents() };
    case "agent=n":
      return { candidates: (await sources.projectAgents()).map((agent) => ({ ...agent, value: `${agent.value}=` })) };
    case "name":
      return group?.name === "agents" ? { candidates: await sources.agents() } : none;
    case "plan":
      return { candidates: await sources.plans() };
    case "planner":
      return { candidates: await sources.planners() };
    case "goal":
      return { candidates: await sources.goals() };
    case "type":
      if (spec.name === "goal") return { candidates: await sources.goals() };
      return spec.name === "publish" ? { candidates: await sources.events("consumes") } : none;
    case "pattern":
      return group?.name === "events" ? { candidates: await sources.events("produces") } : none;
    case "capability":
      return { candidates: await sources.capabilities() };
    case "operation":
      return { candidates: await sources.operations(given[0] ?? "") };
    case "key":
      return group?.name === "memory" ? { candidates: await sources.keys(current) } : none;
    case "schema":
      return { candidates: await sources.schemas() };
    case "environment":
      return { candidates: await sources.environments() };
    case "path":
      return spec.name === "config" ? { candidates: await sources.settings() } : none;
    case "shell":
      return { candidates: ["bash", "zsh", "fish"].map((value) => ({ value })) };
    default:
      return none;
  }
}

/** The words that are neither options nor their values. */
function argumentsIn(words: readonly string[], optionOf: (word: string) => OptionSpec | undefined): string[] {
  const found: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (!word.startsWith("-") || word === "-") {
      found.push(word);
      continue;
    }
    const option = optionOf(word);
    if (option && placeholderOf(option.flags) !== undefined && !word.includes("=")) index++;
  }
  return found;
}

/** Long flags that were not given yet; those that can be given again, too. */
function flagsOf(options: readonly OptionSpec[], before: readonly string[]): Candidate[] {
  return options.flatMap(({ flags, description, collect }) => {
    const names = namesOf(flags);
    if (!collect && before.some((word) => names.includes(word.split("=", 1)[0] ?? ""))) return [];
    return names.filter((name) => name.startsWith("--")).map((value) => ({ value, description }));
  });
}

/** `-t, --type <type>` is called `-t` and `--type`. */
function namesOf(flags: string): string[] {
  return flags.match(/(?<![\w<[])--?[a-zA-Z][\w-]*/g) ?? [];
}

/** What an option takes: `type`; undefined when it takes nothing. */
function placeholderOf(flags: string): string | undefined {
  const [found] = /[<[][^>\]]+[>\]]/.exec(flags) ?? [];
  return found === undefined ? undefined : bare(found);
}

function bare(name: string): string {
  return name.replace(/^[<[]|[>\]]$|\.{3}/g, "");
}

function unique(candidates: readonly Candidate[]): Candidate[] {
  return [...new Map(candidates.map((candidate) => [candidate.value, candidate])).values()];
}
