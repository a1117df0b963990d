import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runHere } from "./fixtures/run-here.ts";

/** Runs a command in a folder with these files, and gives back what it wrote. */
async function run(args: readonly string[], files: Readonly<Record<string, string>> = {}, stdoutColumns?: number) {
  const cwd = mkdtempSync(join(tmpdir(), "soorma-main-"));
  try {
    for (const [name, text] of Object.entries({ "package.json": "{}", ...files })) writeFileSync(join(cwd, name), text);
    return { ...(await runHere(args, { cwd, stdoutColumns })), cwd };
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

test("neither an error nor its hint moves the cursor, whoever wrote what is in them", async () => {
  const { stderr, exitCode } = await run(["config", "--env", "x\u001b[2Jy"], {
    "soorma.config.ts": `export default { environments: { "pro\\u001b[2Jd": {} } };`,
  });
  expect(stderr).toBe(
    'error: --env asks for the environment "xy", which there is not [CONFIG_INVALID]\nhint: the environments are prod\n',
  );
  expect(exitCode).toBe(1);
});

test("the code of an error ends its sentence, and the mark under a character has a line of its own", async () => {
  const { stderr, exitCode } = await run(["goal", "a.goal", "{bad"]);
  expect(stderr).toStartWith(
    `error: the goal's data is not JSON: "b" was not expected there (character 2 of 4) [USAGE]\n  {bad\n   ^\nhint: `,
  );
  expect(exitCode).toBe(2);
});

test("in a narrow terminal the names of settings are whole, and no line is wider than it", async () => {
  const { stdout } = await run(["config"], {}, 60);
  expect(stdout).toMatch(/^plugins\.transport\.options\.heartbeatTimeoutMs +700$/m);
  for (const line of stdout.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(60);
});

test("a recording that is not there is told as such, with its path once", async () => {
  const { stderr, exitCode, cwd } = await run(["replay", "nope.jsonl"]);
  expect(stderr).toBe(
    `error: there is no recording ${join(cwd, "nope.jsonl")} [RECORDING_INVALID]\nhint: Name the file that \`soorma record <file>\` wrote.\n`,
  );
  expect(exitCode).toBe(1);
});
