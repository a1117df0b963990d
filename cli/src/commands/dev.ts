import { loadConfig } from "../config.ts";
import { agentPlaces, findAgents } from "../dev/agents.ts";
import { detachedVariable } from "../dev/detach.ts";
import { createLinePainter, type MeshLogLine, openMeshLog } from "../dev/mesh-log.ts";
import { checkPortFree } from "../dev/port-owner.ts";
import { findProject, makeSocketFolder, type Project, removeSocketFolder } from "../dev/project.ts";
import { claimProject } from "../dev/run-state.ts";
import { tellParent } from "../dev/supervised.ts";
import { createSupervisor, type MeshSummary } from "../dev/supervisor.ts";
import { colorsFor } from "../ui/colors.ts";
import { CommandError, exitCodes, reportOf, UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import type { RunCommand } from "./spec.ts";

interface DevOptions {
  readonly build?: boolean;
  readonly infraOnly?: boolean;
  readonly detach?: boolean;
  readonly stop?: boolean;
  readonly status?: boolean;
  readonly logs?: boolean;
  readonly follow?: boolean;
  readonly port?: number;
  readonly dir?: string;
  readonly json?: boolean;
}

const modes = ["stop", "status", "logs", "detach"] as const;

export const runDev: RunCommand = async ({ options: given, io }) => {
  const options = given as DevOptions;
  const chosen = modes.filter((mode) => options[mode]);
  if (chosen.length > 1) throw new UsageError(`--${chosen.join(" and --")} do not go together`, "give one of them");
  if (options.follow && !options.logs) throw new UsageError("--follow goes with --logs", "soorma dev --logs --follow");
  const project = findProject(io.cwd, options.dir);
  const json = options.json === true;
  switch (chosen[0]) {
    case "stop":
      return await (await import("../dev/remote.ts")).stopMesh(project, json, io);
    case "status":
      return await (await import("../dev/remote.ts")).showStatus(project, json, io);
    case "logs":
      return await (await import("../dev/remote.ts")).showLogs(project, { json, follow: options.follow === true }, io);
    case "detach":
      return await (await import("../dev/detach.ts")).startDetached(project, detachedFlags(options), json, io);
    default:
      return await runForeground(project, options, io).catch(async (error: unknown) => {
        // Nobody sees the stderr of a process in the background.
        if (io.env[detachedVariable]) await tellParent({ soorma: "failed", report: reportOf(error) });
        throw error;
      });
  }
};

function detachedFlags(options: DevOptions): string[] {
  return [
    ...(options.build ? ["--build"] : []),
    ...(options.infraOnly ? ["--infra-only"] : []),
    ...(options.port === undefined ? [] : ["--port", String(options.port)]),
  ];
}

async function runForeground(project: Project, options: DevOptions, io: Io): Promise<number> {
  const startedMs = performance.now();
  const colors = colorsFor(io);
  const config = await loadConfig(project.root);
  const agents = options.infraOnly ? [] : findAgents(project.root, config);
  if (agents.length > 0) checkInstalled(project.root);
  const port = options.port ?? config.dev?.port;
  const drainMs = config.dev?.drainMs ?? 10_000;

  using claim = disposable(
    await claimProject(project.runFile, (state) => {
      io.err(colors.yellow(`soorma dev, process ${state.supervisor.pid}, did not end in order: cleaning up after it`));
    }),
  );
  if (port !== undefined) checkPortFree(port);
  makeSocketFolder(project.socketFolder);
  using _sockets = { [Symbol.dispose]: () => removeSocketFolder(project.socketFolder) };
  using log = openMeshLog(project.logFile);
  const paint = createLinePainter(colors);
  const print = (line: Omit<MeshLogLine, "timeMs">, tone: "plain" | "good" | "bad" = "plain"): void => {
    log.write({ ...line, timeMs: Date.now() });
    const text = tone === "plain" ? line.line : tone === "good" ? colors.green(line.line) : colors.red(line.line);
    io.err(paint({ ...line, line: text }));
  };

  if (!options.infraOnly && agents.length === 0) {
    print({ name: "soorma", stream: "soorma", line: `no agents yet: they are looked for as ${agentPlaces}` }, "bad");
  }
  const { meshParts } = await import("../dev/mesh-parts.ts");
  const parts = meshParts({ project, port, claim: claim.value });
  const supervisor = createSupervisor({
    project,
    claim: claim.value,
    env: { ...io.env, ...(colors.isColorSupported ? { FORCE_COLOR: "1" } : {}) },
    ...parts,
    ...(options.infraOnly ? {} : { loadAgents: async () => findAgents(project.root, await loadConfig(project.root)) }),
    ...(options.build ? { buildFolder: project.buildFolder } : {}),
    drainMs,
    print,
  });

  const ended = Promise.withResolvers<number>();
  const stop = async (code: number): Promise<void> => {
    await supervisor.stop();
    ended.resolve(code);
  };
  using _signals = io.onStopSignal((_signal, count) => {
    if (count === 1) {
      print({ name: "soorma", stream: "soorma", line: "stopping; Ctrl-C again to stop at once" });
      void stop(exitCodes.done);
    } else {
      supervisor.kill();
      ended.resolve(exitCodes.interrupted);
    }
  });

  try {
    const summary = await supervisor.start();
    if (!io.signal.aborted) {
      const tookMs = Math.round(performance.now() - startedMs);
      tellReady(summary, tookMs, options.json === true, io);
      if (io.env[detachedVariable]) await tellParent({ soorma: "ready", info: { ...summary, tookMs } });
    }
  } catch (error) {
    // Stopped while it was starting: whatever ended then, ended because of that.
    if (!io.signal.aborted) {
      await supervisor.stop();
      throw error;
    }
  }
  return await ended.promise;
}

function tellReady(summary: MeshSummary, tookMs: number, json: boolean, io: Io): void {
  if (json) {
    io.out(JSON.stringify({ ready: true, tookMs, ...summary }));
    return;
  }
  const agents = summary.processes.filter((process) => process.role === "agent");
  const running = agents.filter((agent) => agent.state === "ready");
  const count =
    agents.length === running.length ? `${agents.length} agents` : `${running.length} of ${agents.length} agents`;
  const names = running.length > 0 ? `: ${running.map((agent) => agent.name).join(", ")}` : "";
  io.out(`ready in ${tookMs} ms · broker ${summary.broker} · ${count.replace(/^1 agents/, "1 agent")}${names}`);
}

/** Otherwise every agent would fail for it, and none would be tried again once it is mended. */
function checkInstalled(root: string): void {
  try {
    Bun.resolveSync("soorma", root);
  } catch (cause) {
    throw new CommandError("NOT_INSTALLED", `the package soorma is not installed in ${root}`, {
      cause,
      hint: "run `bun install`",
    });
  }
}

function disposable(claim: Awaited<ReturnType<typeof claimProject>>) {
  return { value: claim, [Symbol.dispose]: () => claim.release() };
}
