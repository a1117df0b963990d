/** The commands for what a mesh keeps, run in this process against one that runs; what needs a terminal is in tests/e2e. */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@soorma/core";
import { defineTool, Tool, type TSchema, Type } from "../index.ts";
import { connectMesh } from "../mesh.ts";
import { papersMesh } from "./fixtures/papers-mesh.ts";

setDefaultTimeout(60_000);

const { path: project, run, json, fails } = papersMesh();

describe("memory", () => {
  test("is written, read, listed, searched and removed", async () => {
    expect((await run("memory", "set", "user:7", '{"name":"Ada"}', "--ttl", "1h")).stdout).toMatch(
      /^stored user:7 as version \d+, for 1 h\n$/,
    );
    writeFileSync(join(project, "notes.md"), "# Notes on bees\n");
    expect(await json("memory", "set", "notes:1", "@notes.md", "--text")).toMatchObject({ key: "notes:1" });
    expect((await run("memory", "get", "user:7")).stdout).toBe('{\n  "name": "Ada"\n}\n');
    expect((await run("memory", "get", "notes:1")).stdout).toBe("# Notes on bees\n\n");
    const entry = await json<{ version: number; expiresAtMs: number; updatedAtMs: number }>("memory", "get", "user:7");
    expect(entry.expiresAtMs - entry.updatedAtMs).toBe(3_600_000);
    const listed = await run("memory", "ls", "user:");
    expect(listed.stdout).toMatch(
      /^KEY +VERSION +WRITTEN +LEFT +VALUE\nuser:7 +\d+ +[\d.]+ m?s ago +(?:1 h|59 min .*) +\{"name":"Ada"\}\n$/,
    );
    expect(await json<{ key: string }[]>("memory", "ls", "--limit", "1")).toMatchObject([{ key: "notes:1" }]);
    expect((await run("memory", "ls", "--limit", "1")).stderr).toBe("there are more: --after 'notes:1' shows them\n");
    expect((await run("memory", "search", "bees")).stdout).toMatch(
      /^SCORE +KEY +TEXT\n *[\d.]+ +notes:1 +# Notes on bees\n$/,
    );
    await run("memory", "set", "user:8", "8", "--tenant", "other");
    expect((await run("memory", "rm", "user:", "--prefix", "--yes")).stdout).toBe("removed 1 entry\n");
    expect((await run("memory", "ls", "user:")).stderr).toBe("no key begins with user:\n");
    expect((await run("memory", "get", "user:8", "--tenant", "other")).stdout).toBe("8\n");
  });

  test("what is wrong is told with what would be right, and changes nothing", async () => {
    const { version } = await json<{ version: number }>("memory", "set", "config:limit", "1");
    await fails(
      ["memory", "get", "config:limt"],
      'memory has no entry "config:limt" [KEY_NOT_FOUND]',
      "did you mean config:limit?",
    );
    await fails(["memory", "rm", "cofnig:limit"], 'memory has no entry "cofnig:limit"', "did you mean config:limit?");
    await fails(
      ["memory", "set", "config:limit", "2", "--if-version", "0"],
      `"config:limit" was to be written on condition that there is no entry, but it has version ${version}`,
      "Read the entry again",
    );
    await fails(
      ["memory", "set", "config:limit", "two"],
      "the value is not JSON",
      'names and texts stand in double quotes, and for the shell all of it in single ones: \'{"key":"value"}\'; --text takes it as text',
      2,
    );
    await fails(
      ["memory", "set", "config:limit", "2", "--ttl", "5"],
      "option '--ttl <time>' argument '5' is invalid",
      "see `soorma memory set --help`",
      2,
    );
    await fails(
      ["memory", "rm", "config:", "--prefix"],
      "1 entry beginning with config: would be removed",
      "say --yes",
      2,
    );
    await fails(
      ["memory", "rm", "config:", "--prefix", "--if-version", "1"],
      "--prefix and --if-version do not go together",
      "a version is of one entry",
      2,
    );
    expect((await run("memory", "get", "config:limit")).stdout).toBe("1\n");
    expect((await run("memory", "set", "config:limit", "3", "--if-version", String(version))).exitCode).toBe(0);
    await run("memory", "rm", "config:limit");
  });
});

describe("schemas", () => {
  beforeAll(async () => {
    const contract = (version: string, b: TSchema) =>
      defineTool({
        name: "convert",
        version,
        input: Type.Object({ a: Type.String(), b }),
        output: Type.Object({ c: Type.Number() }),
      });
    for (const [version, b] of [
      ["1.0.0", Type.Number()],
      ["1.1.0", Type.Integer()],
      ["2.0.0", Type.Optional(Type.Integer())],
    ] as const) {
      await using tool = new Tool({ name: "converter", mesh: connectMesh({ log: silentLogger }) });
      tool.onInvoke(contract(version, b), () => ({ c: 1 }));
      await tool.run();
    }
  });

  test("are listed with the version in use, and who uses it", async () => {
    const { stdout } = await run("schemas", "ls", "c");
    expect(stdout).toMatch(/^SCHEMA +VERSION +OF +USED BY +DESCRIPTION\n/);
    expect(stdout).toMatch(/\ncalculate\.input +1\.0\.0\+dev\.\w+ +1 +calculator +Does sums\n/);
    expect(stdout).toMatch(/\nconvert\.input +2\.0\.0 +3\n/);
    expect(await json("schemas", "ls", "convert.o")).toEqual([
      { name: "convert.output", current: "2.0.0", versions: ["1.0.0", "1.1.0", "2.0.0"], usedBy: [] },
    ]);
  });

  test("are shown as types, in the version that is meant", async () => {
    const { stdout } = await run("schemas", "show", "convert.input@1");
    expect(stdout).toBe(
      "convert.input  1.1.0\nused by no agent that runs\nother versions: 1.0.0, 2.0.0\n\n{\n  a: string;\n  b: number; // whole number\n}\n",
    );
    expect((await run("schemas", "show", "convert.input")).stdout).toContain("b?: number;");
    expect(JSON.parse((await run("schemas", "show", "convert.output", "--schema")).stdout)).toMatchObject({
      type: "object",
    });
    expect(await json("schemas", "show", "calculate.input")).toMatchObject({
      name: "calculate.input",
      usedBy: ["calculator"],
    });
  });

  test("are compared, and what breaks callers is said", async () => {
    expect((await run("schemas", "diff", "convert.input")).stdout).toBe(
      ["convert.input  1.1.0 → 2.0.0", "✓ fits  /b  optional now", "nothing breaks", ""].join("\n"),
    );
    const narrowed = await run("schemas", "diff", "convert.input", "1.0.0", "1.1.0", "--check");
    expect(narrowed.stdout).toBe(
      [
        "convert.input  1.0.0 → 1.1.0",
        "✗ breaking  /b  number is integer now",
        "1 change breaks callers that send what the old version asks for",
        "by semver that is a new major version, not a minor one",
        "",
      ].join("\n"),
    );
    expect(narrowed.exitCode).toBe(1);
    expect(await json("schemas", "diff", "convert.input@2", "1.0.0")).toMatchObject({
      from: "2.0.0",
      to: "1.0.0",
      bump: "major",
      breaking: true,
      changes: [
        { path: "/b", what: "required now" },
        { path: "/b", what: "integer is number now", breaking: false },
      ],
    });
    expect((await run("schemas", "diff", "convert.output")).stdout).toBe(
      "convert.output  1.1.0 → 2.0.0\nno difference\n",
    );
  });

  test("that are mistyped are suggested", async () => {
    await fails(
      ["schemas", "show", "convret.input"],
      'there is no schema "convret.input"',
      "did you mean convert.input?",
    );
    await fails(
      ["schemas", "show", "convert"],
      'there is no schema "convert"',
      "there is convert.input and convert.output",
    );
    await fails(
      ["schemas", "diff", "convert.input", "3"],
      'schema convert.input has no version "3"',
      "its versions are 1.0.0, 1.1.0, 2.0.0",
    );
    await fails(
      ["schemas", "diff", "calculate.input"],
      "schema calculate.input has one version",
      "an agent registers another one",
    );
  });
});
