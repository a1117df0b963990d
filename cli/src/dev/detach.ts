import { mkdirSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import { writtenFirst } from "../ui/disk-fault.ts";
import { CommandError, exitCodes, Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import type { Project } from "./project.ts";
import { registryText } from "./remote.ts";
import { refuseSecond } from "./run-state.ts";
import { parseChildMessage } from "./supervised.ts";

/** Set in a supervisor in the background: its errors are told over IPC to the command that started it. */
export const detachedVariable = "SOORMA_DETACHED";

/** Starts `soorma dev` in the background and returns when everything is ready, or with what stopped it. */
export async function startDetached(
  project: Project,
  flags: readonly string[],
  json: boolean,
  io: Io,
): Promise<number> {
  if (io.signal.aborted) throw new Interrupted();
  refuseSecond(project.runFile);
  const outputFile = join(dirname(project.logFile), "supervisor.log");
  const output = writtenFirst(outputFile, () => {
    mkdirSync(dirname(outputFile), { recursive: true });
    return openSync(outputFile, "w", 0o600);
  });
  const outcome = Promise.withResolvers<ReturnType<typeof parseChildMessage>>();
  const bin = join(import.meta.dir, "..", "..", "bin", "soorma.ts");
  const child = Bun.spawn([process.execPath, bin, "dev", ...flags, "--dir", project.root], {
    cwd: project.root,
    env: { ...io.env, [detachedVariable]: "1" },
    stdin: "ignore",
    stdout: output,
    stderr: output,
    // It outlives this terminal.
    detached: true,
    serialization: "json",
    ipc: (value) => {
      const message = parseChildMessage(value);
      if (message) outcome.resolve(message);
    },
  });
  void child.exited.then(() => outcome.resolve(undefined));
  io.signal.addEventListener("abort", () => child.kill("SIGTERM"));

  const message = await outcome.promise;
  if (io.signal.aborted) {
    await child.exited;
    throw new Interrupted();
  }
  if (message?.soorma === "ready") {
    child.disconnect();
    child.unref();
    if (json) io.out(JSON.stringify({ ready: true, pid: child.pid, ...message.info }));
    else io.out(`ready in ${message.info.tookMs} ms · ${registryText(message.info)} · process ${child.pid}`);
    if (!json) io.err("look at it with `soorma dev --status`, stop it with `soorma dev --stop`");
    return exitCodes.done;
  }
  if (message?.soorma === "failed" && message.report.stack === undefined) {
    const { code, hint } = message.report;
    throw new CommandError(code, message.report.message, hint === undefined ? {} : { hint });
  }
  throw new CommandError("START_FAILED", "soorma dev ended before it was ready", {
    hint: `its output is in ${outputFile}`,
  });
}
