import { expect, test } from "bun:test";
import { type PluginKind, type ProjectType, pluginKinds, projectTypeFacts, projectTypes } from "./project-types.ts";
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

const templates = projectTypes.flatMap((type): [ProjectType, PluginKind | undefined][] =>
  type === "plugin" ? pluginKinds.map((kind) => [type, kind]) : [[type, undefined]],
);

test.each(templates)("the template %p %p is filled in whatever the answers are", (type, kind) => {
  const files = projectFiles({
    type,
    ...(kind === undefined ? {} : { kind }),
    name: "a-b-c",
    description: hostile,
    capabilities: ["x.y", "z-1"],
    includes: projectTypeFacts[type].includes,
  });
  for (const { path, text } of files) {
    // The templates of a plan's tasks, `{{goal.data.items}}`, are the project's own.
    const own = text.replaceAll("{{name}}", "").replaceAll(/\{\{(goal|results)\.[\w.]+\}\}/g, "");
    expect(own).not.toMatch(/\{\{|\}\}/);
    if (/\.ts$/.test(path)) new Bun.Transpiler({ loader: "ts" }).transformSync(text);
  }
  const manifest = files.find(({ path }) => path === "package.json");
  expect(JSON.parse(manifest?.text ?? "")).toMatchObject({
    name: kind === undefined ? "a-b-c" : `soorma-${kind}-a-b-c`,
    description: hostile,
  });
  expect(files.map(({ path }) => path)).toContain(".gitignore");
});

test("plugins that are not the default are in the configuration, and their packages among the dependencies", () => {
  const files = projectFiles({
    type: "worker",
    name: "a",
    description: "b",
    capabilities: ["c"],
    includes: [],
    plugins: { transport: "nats", registry: "@acme/directory", address: "nats://localhost" },
  });
  const text = (path: string): string => files.find((file) => file.path === path)?.text ?? "";
  expect(text("soorma.config.ts")).toContain(`  mesh: { address: "nats://localhost" },
  plugins: { transport: "nats", registry: "@acme/directory" },
`);
  expect(Object.keys(JSON.parse(text("package.json")).dependencies)).toEqual([
    "@acme/directory",
    "soorma",
    "soorma-transport-nats",
  ]);
});

test("a project of defaults has no configuration to read", () => {
  for (const plugins of [undefined, { registry: "./mine.ts" }]) {
    const choice = { type: "tool", name: "a", description: "b", capabilities: ["c"], includes: [] } as const;
    const files = projectFiles({ ...choice, ...(plugins ? { plugins } : {}) });
    expect(files.some(({ path }) => path === "soorma.config.ts")).toBe(plugins !== undefined);
    const manifest = files.find(({ path }) => path === "package.json")?.text ?? "";
    expect(Object.keys(JSON.parse(manifest).dependencies)).toEqual(["soorma"]);
  }
});

test("the container's user owns the folder of its data before a volume is mounted there", () => {
  const choice = { type: "tool", name: "a", description: "b", capabilities: ["c"], includes: ["docker"] } as const;
  const dockerfile = projectFiles(choice).find(({ path }) => path === "Dockerfile")?.text ?? "";
  const lines = dockerfile.split("\n");
  const place = (pattern: RegExp): number => lines.findIndex((line) => pattern.test(line));
  expect(place(/^RUN .*mkdir .*\.soorma.* && chown -R bun \/app/)).toBeGreaterThan(place(/^WORKDIR \/app/));
  expect(place(/^USER bun/)).toBeGreaterThan(place(/chown -R bun/));
});

test("the workflow runs on the branch that git init makes, whatever that is called", () => {
  const choice = { type: "tool", name: "a", description: "b", capabilities: ["c"], includes: ["ci"] } as const;
  const file = projectFiles(choice).find(({ path }) => path === ".github/workflows/ci.yml");
  const { on } = Bun.YAML.parse(file?.text ?? "") as { on: { push: { branches: string[] }; pull_request: unknown } };
  expect(on.push.branches).toEqual(["main", "master"]);
});
