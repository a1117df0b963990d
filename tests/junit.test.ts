import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countTests } from "./junit.ts";

test("passed, failed, skipped and unfinished tests of a real report are counted, whatever their titles hold", async () => {
  const dir = mkdtempSync(join(tmpdir(), "soorma-junit-"));
  try {
    writeFileSync(
      join(dir, "some.test.ts"),
      `import { describe, expect, test } from "bun:test";
test("one", () => {});
test('a > b & "c" <failure/>', () => {});
describe("inner <testcase>", () => {
  test("fails", () => expect(1).toBe(2));
  test("throws", () => { throw new Error("</testcase>"); });
  test.failing("is known to fail", () => { throw new Error("known"); });
});
test.skip("skipped", () => {});
test.if(false)("not here", () => {});
test.todo("later");
`,
    );
    const outfile = join(dir, "junit.xml");
    const child = Bun.spawn([process.execPath, "test", "--reporter=junit", `--reporter-outfile=${outfile}`], {
      cwd: dir,
      stdout: "ignore",
      stderr: "ignore",
    });
    expect(await child.exited).toBe(1);
    expect(countTests(readFileSync(outfile, "utf8"))).toEqual({ passed: 3, failed: 2, skipped: 3 });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test("an empty report counts nothing", () => {
  expect(countTests("")).toEqual({ passed: 0, failed: 0, skipped: 0 });
});
