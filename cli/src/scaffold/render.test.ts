import { expect, test } from "bun:test";
import { projectTypeFacts, projectTypes } from "./project-types.ts";
import { render } from "./render.ts";
import { projectFiles } from "./template.ts";

const hostile = `say "hi" \\ \`$\{x}\` $& $1 </script> {{name}} ü`;
const values = { text: { name: "my-agent", description: hostile }, lists: { capabilities: ["a", "b"] } };

test("any text is safe inside a string of code, and is not read as a placeholder again", () => {
  const code = render(
    "x.ts",
    'export const d = "{{description}}"; export const e = "of {{name}}: {{description}}";',
    values,
  );
  const built = new Bun.Transpiler({ loader: "ts" }).transformSync(code);
  expect(built).not.toBe("");
  const run = new Function(`${code.replaceAll("export ", "")} return [d, e];`) as () => string[];
  expect(run()).toEqual([hostile, `of my-agent: ${hostile}`]);
});

test("any text is safe in JSON", () => {
  expect(JSON.parse(render("package.json", '{"d":"{{description}}"}', values))).toEqual({ d: hostile });
});

test("a text is written as it is elsewhere", () => {
  expect(render("README.md", "# {{name}}: {{description}} ({{capabilities}})", values)).toBe(
    `# my-agent: ${hostile} (a, b)`,
  );
});

test("a list becomes the entries of an array", () => {
  expect(render("x.ts", 'const c = ["{{capabilities}}"];', values)).toBe('const c = ["a", "b"];');
});

test("a line is repeated for each entry of a list", () => {
  expect(render("x.ts", 'before\n  on("{{it}}"); // {{each capabilities as it}}\nafter', values)).toBe(
    'before\n  on("a");\n  on("b");\nafter',
  );
});

test("a placeholder that nothing fills in is an error", () => {
  expect(() => render("x.ts", '"{{bogus}}"', values)).toThrow(/x\.ts.*bogus/);
});

test.each(projectTypes)("the template %s is filled in whatever the answers are", (type) => {
  const files = projectFiles({
    type,
    name: "a-b-c",
    description: hostile,
    capabilities: ["x.y", "z-1"],
    includes: projectTypeFacts[type].includes,
  });
  for (const { path, text } of files) {
    expect(text.replaceAll("{{name}}", "")).not.toMatch(/\{\{|\}\}/);
    if (/\.ts$/.test(path)) new Bun.Transpiler({ loader: "ts" }).transformSync(text);
  }
  const manifest = files.find(({ path }) => path === "package.json");
  expect(JSON.parse(manifest?.text ?? "")).toMatchObject({ name: "a-b-c", description: hostile });
  expect(files.map(({ path }) => path)).toContain(".gitignore");
});
