import { readFileSync } from "node:fs";
import { join } from "node:path";

export const repository = join(import.meta.dir, "..");

export interface Block {
  /** Relative to the repository. */
  readonly page: string;
  /** Of its first line of content. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Why the tests do not run it: what stands before it as `<!-- not run: reason -->`. */
  readonly notRun: string | undefined;
}

/** Pages written for readers, relative to the repository: of the root, packages, templates and tests. */
export function documentationPages(): string[] {
  const patterns = ["*.md", "{core,broker,cli,plugins,templates,tests}/**/*.md"];
  return patterns
    .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(repository)])
    .filter((page) => !/node_modules|^cli\/templates|^dist\/|\/notes\//.test(page))
    .sort();
}

export function blocksOf(page: string, text = readFileSync(join(repository, page), "utf8")): Block[] {
  const found: Block[] = [];
  for (const match of text.matchAll(/(?:^<!-- not run: ([^\n]+) -->\n+)?^```(\w+)\n([\s\S]*?)^```$/gm)) {
    const [whole, notRun, language = "", content = ""] = match;
    const line = text.slice(0, match.index + whole.length - content.length - 3).split("\n").length;
    found.push({ page, line, language, text: content, notRun });
  }
  return found;
}

/** The commands of a block of `sh`: lines without what is only a comment; a line ending in `\` goes on. */
export function commandsOf(block: Block): string[] {
  return block.text
    .replace(/\\\n/g, " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}
