/** What a template's placeholders stand for. */
export interface TemplateValues {
  readonly text: Readonly<Record<string, string>>;
  /** Lists are written `["{{name}}"]`. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

const placeholder = /"\{\{(\w+)\}\}"|\{\{(\w+)\}\}/g;
const repeated = / *\/\/ \{\{each (\w+) as (\w+)\}\}$/;
const quoting = /\.(ts|tsx|js|json|jsonc)$/;

/**
 * Fills in a template's file.
 *
 * In code and JSON a placeholder stands inside a double-quoted string, which is written as JSON writes it, so any text
 * is safe there; `["{{list}}"]` becomes the whole list, and a line that ends in `// {{each list as item}}` is repeated
 * for each entry. Elsewhere it is the plain text.
 *
 * @throws {Error} for a placeholder nobody gave a value: the template is wrong.
 */
export function render(path: string, source: string, values: TemplateValues): string {
  const lines = source.split("\n").flatMap((line) => {
    const [directive, list, item] = repeated.exec(line) ?? [];
    if (directive === undefined || list === undefined || item === undefined) return [fill(path, line, values)];
    return listOf(path, list, values).map((entry) =>
      fill(path, line.slice(0, -directive.length), { ...values, text: { ...values.text, [item]: entry } }),
    );
  });
  return lines.join("\n");
}

function fill(path: string, line: string, values: TemplateValues): string {
  const quotes = quoting.test(path);
  // One pass and a function: neither a value that looks like a placeholder nor one with "$&" is touched again.
  return line.replace(placeholder, (_all, whole: string | undefined, inner: string | undefined) => {
    const name = whole ?? inner ?? "";
    const list = values.lists[name];
    if (list) return whole === undefined ? list.join(", ") : list.map((entry) => JSON.stringify(entry)).join(", ");
    const text = values.text[name];
    if (text === undefined) throw new Error(`${path} has a placeholder {{${name}}} that nothing fills in`);
    if (!quotes) return whole === undefined ? text : `"${text}"`;
    return whole === undefined ? JSON.stringify(text).slice(1, -1) : JSON.stringify(text);
  });
}

function listOf(path: string, name: string, values: TemplateValues): readonly string[] {
  const list = values.lists[name];
  if (!list) throw new Error(`${path} repeats a line for each ${name}, which is no list`);
  return list;
}
