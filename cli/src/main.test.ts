import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommandLine } from "./main.ts";

test("neither an error nor its hint moves the cursor, whoever wrote what is in them", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "soorma-main-"));
  try {
    writeFileSync(join(cwd, "package.json"), "{}");
    writeFileSync(join(cwd, "soorma.config.ts"), `export default { environments: { "pro\\u001b[2Jd": {} } };`);
    let said = "";
    const exitCode = await runCommandLine(["config", "--env", "x\u001b[2Jy"], {
      cwd,
      env: { NO_COLOR: "1" },
      interactive: false,
      liveStderr: false,
      stdoutColumns: undefined,
      signal: new AbortController().signal,
      onStopSignal: () => ({ [Symbol.dispose]() {} }),
      out: () => {},
      err: (line) => {
        said += `${line}\n`;
      },
      errRaw: () => {},
    });
    expect(said).toBe(
      'error: --env asks for the environment "xy", which there is not [CONFIG_INVALID]\nhint: the environments are prod\n',
    );
    expect(exitCode).toBe(1);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
});
