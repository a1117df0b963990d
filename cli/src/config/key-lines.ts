/**
 * The lines on which the keys of an object literal stand, by dotted path: what `soorma config` names as a value's place. Reads
 * literals only; what is put together by code is not found.
 *
 * @param source - TypeScript with one `defineConfig({ … })` or `export default { … }`.
 */
export function keyLines(source: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  const start = /\bdefineConfig\s*\(\s*\{|\bexport\s+default\s*\{/.exec(source);
  if (!start) return lines;
  /** One entry an open bracket: the path of the object it opens, undefined for a list or a call. */
  const open: (string | undefined)[] = [];
  let at = start.index + start[0].length - 1;
  let line = source.slice(0, at).split("\n").length;
  /** The path of the value that may come next. */
  let pending: string | undefined = "";
  const token =
    /\n|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(["'])((?:\\.|(?!\1)[^\\\n])*)\1|`(?:\\.|[^\\`])*`|[\w$]+|[{}[\]():,]|[\s\S]/gy;
  token.lastIndex = at;
  let key: { readonly name: string; readonly line: number } | undefined;
  /** A key may stand here: after `{` and after `,`. */
  let fresh = false;
  for (let match = token.exec(source); match; match = token.exec(source)) {
    const [text, , quoted] = match;
    at = token.lastIndex;
    const here = line;
    line += text.split("\n").length - 1;
    if (/^\s+$/.test(text) || text.startsWith("//") || text.startsWith("/*")) continue;
    const parent = open.at(-1);
    switch (text) {
      case "{":
      case "[":
      case "(":
        open.push(text === "{" ? pending : undefined);
        pending = undefined;
        fresh = text === "{";
        key = undefined;
        break;
      case "}":
      case "]":
      case ")":
        open.pop();
        if (open.length === 0) return lines;
        fresh = false;
        break;
      case ",":
        fresh = parent !== undefined;
        pending = undefined;
        break;
      case ":":
        if (key && parent !== undefined) {
          pending = parent === "" ? key.name : `${parent}.${key.name}`;
          lines.set(pending, key.line);
        }
        key = undefined;
        break;
      default:
        key = fresh && parent !== undefined ? { name: quoted ?? text, line: here } : undefined;
        fresh = false;
    }
  }
  return lines;
}
