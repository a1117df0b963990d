/** Parts of a path: keys, `*` for any one, `**` for any number of them. */
export type PathParts = readonly string[];

/**
 * Paths as people write them. One that begins with none of `roots` is looked for everywhere: `token` is `**.token`.
 *
 * @throws {TypeError} for a path that has an empty part.
 */
export function parsePaths(paths: readonly string[], roots: ReadonlySet<string>): readonly PathParts[] {
  return paths.map((path) => {
    const parts = path.split(".");
    if (parts.includes("")) throw new TypeError(`${JSON.stringify(path)} is no path; one is data.card.number`);
    return roots.has(parts[0] ?? "") || parts[0] === "**" ? parts : ["**", ...parts];
  });
}

/** What is left of the paths behind `key`; an empty rest means that it is this very place. */
export function pathsBehind(paths: readonly PathParts[], key: string): readonly PathParts[] {
  return paths.flatMap((parts) => behind(parts, key));
}

export function isReached(paths: readonly PathParts[]): boolean {
  return paths.some((parts) => parts.length === 0);
}

function behind(parts: PathParts, key: string): PathParts[] {
  const [first, ...rest] = parts;
  if (first === undefined) return [];
  if (first === "**") return [parts, ...behind(rest, key)];
  return first === "*" || first === key ? [rest] : [];
}
