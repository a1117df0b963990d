import { UsageError } from "../ui/errors.ts";
import { oneLine } from "../ui/text.ts";

const longest = 64;
// "soorma" would depend on itself; the others are folders or files that package managers treat in their own way.
const reserved = new Set(["soorma", "node_modules", "favicon.ico", "test", "package"]);
const namePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const capabilityPattern = /^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

/** Why a text is no project name; `undefined` when it is one. */
export function nameFault(name: string): string | undefined {
  if (name === "") return "a name is needed";
  if (name.length > longest) return `a name has at most ${longest} characters, this one has ${name.length}`;
  if (reserved.has(name)) return `"${name}" is taken: choose another name`;
  if (!namePattern.test(name)) {
    const idea = nameIdea(name);
    return `a name is made of lower-case letters, digits and single dashes, and begins with a letter${idea ? `: try "${idea}"` : ""}`;
  }
  return undefined;
}

/** @throws {UsageError} when it is none, with what would be one. */
export function checkName(name: string): string {
  const fault = nameFault(name);
  if (fault !== undefined) throw new UsageError(`"${name}" is no project name`, fault);
  return name;
}

/** The nearest valid name: `My Agent!` becomes `my-agent`. */
export function nameIdea(text: string): string | undefined {
  const idea = text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/\p{M}/gu, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[-0-9]+|-+$/g, "")
    .slice(0, longest)
    .replace(/-+$/, "");
  return idea !== "" && !reserved.has(idea) ? idea : undefined;
}

/** Splits a list of capabilities; doubles are dropped. @throws {UsageError} for what is none. */
export function parseCapabilities(list: string): string[] {
  const names = [...new Set(list.split(",").map((part) => part.trim()))].filter((part) => part !== "");
  if (names.length === 0) throw new UsageError("no capability given", "for example --capabilities search,summarize");
  for (const name of names) {
    if (name.length > 128 || !capabilityPattern.test(name)) {
      throw new UsageError(
        `"${name}" is no capability`,
        "a capability is made of letters, digits, dots, dashes and underscores: paper_search",
      );
    }
  }
  return names;
}

/** One line of plain text. @throws {UsageError} when it is longer than a directory shows. */
export function parseDescription(text: string): string {
  // It stands in readmes and in lists on terminals.
  const line = oneLine(text);
  if (line === "") throw new UsageError("the description is empty", "one sentence: what does the agent do?");
  if (line.length > 300)
    throw new UsageError(`the description has ${line.length} characters; 300 is the most`, "say it in one sentence");
  return line;
}

/** Why a text is no name of a task, operation or event; `undefined` when it is one. */
export function contractNameFault(name: string): string | undefined {
  if (name.length <= 128 && capabilityPattern.test(name) && /[A-Za-z]/.test(name)) return undefined;
  return "it is made of letters, digits, dashes, underscores and single dots, at most 128: paper_search, order.placed";
}
