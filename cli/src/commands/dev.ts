import { changedSettings } from "../config/changes.ts";
import { environmentVariable, type Flag } from "../config/resolve.ts";
import { type LoadedConfig, loadConfig, type Settings } from "../config.ts";
import { type AgentChoice, agentPlaces, findAgents } from "../dev/agents.ts";
import { cleanProject, confirmClean } from "../dev/clean.ts";
import { detachedVariable } from "../dev/detach.ts";
import { type MeshLogLine, toJson } from "../dev/log-line.ts";
import { openMeshLog } from "../dev/mesh-log.ts";
import { checkPortFree } from "../dev/port-owner.ts";
import { findProject, makeSocketFolder, type Project, removeSocketFolder, withDataFolder } from "../dev/project.ts";
import { registryText } from "../dev/remote.ts";
import { claimProject, type RunState } from "../dev/run-state.ts";
import type { Screen, Tone } from "../dev/screen.ts";
import { tellParent } from "../dev/supervised.ts";
import { createSupervisor, type MeshSummary, type Supervisor } from "../dev/supervisor.ts";
import { type Colors, colorsFor } from "../ui/colors.ts";
import { CommandError, exitCodes, Interrupted, reportOf, UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import type { RunCommand } from "./spec.ts";

interface DevOptions {
  readonly build?: boolean;
  readonly infraOnly?: boolean;
  readonly only?: readonly string[];
  readonly instances?: Readonly<Record<string, number>>;
  readonly inspect?: boolean;
  readonly detach?: boolean;
  readonly stop?: boolean;
  readonly status?: boolean;
  readonly logs?: boolean;
  readonly follow?: boolean;
  readonly clean?: boolean;
  readonly yes?: boolean;
  /** Absent means yes. */
  readonly types?: boolean;
  readonly port?: number;
  readonly env?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

const modes = ["stop", "status", "logs", "detach"] as const;

export const runDev: RunCommand = async ({ options: given, io }) => {
  const options = given as DevOptions;
  const chosen = modes.filter((mode) => options[mode]);
  if (chosen.length > 1) throw new UsageError(`--${chosen.join(" and --")} do not go together`, "give one of them");
  if (options.follow && !options.logs) throw new UsageError("--follow goes with --logs", "soorma dev --logs --follow");
  if (options.clean && (options.status || options.logs))
    throw new UsageError(`--clean does not go with --${chosen[0]}`, "soorma dev --clean, or soorma dev --stop --clean");
  if (options.yes && !options.clean) throw new UsageError("--yes goes with --clean", "soorma dev --clean --yes");
  if (options.infraOnly && (options.only || options.instances))
    throw new UsageError(
      "--infra-only starts no agents: --only and --instances do not go with it",
      "leave --infra-only out, or the others",
    );
  let project = findProject(io.cwd, options.dir);
  const json = options.json === true;
  // What would be removed has to be known before anybody is asked.
  if (options.clean) project = withDataFolder(project, (await load(project, options, io)).settings.mesh.dataFolder);
  if (options.clean) await confirmClean(project, options.yes === true, io);
  switch (chosen[0]) {
    case "stop":
      return await stop(project, options, io);
    case "status":
      return await (await import("../dev/remote.ts")).showStatus(project, json, io);
    case "logs":
      return await (await import("../dev/show-logs.ts")).showLogs(
        project,
        { json, follow: options.follow === true, filter: {} },
        io,
      );
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

async function stop(project: Project, { clean = false, json = false }: DevOptions, io: Io): Promise<number> {
  const { stopMesh } = await import("../dev/remote.ts");
  const code = await stopMesh(project, json, io);
  if (code !== exitCodes.done || !clean) return code;
  using _claim = disposable(await claimProject(project.runFile, () => {}));
  cleanProject(project);
  if (!json) io.err("removed plans, memory and logs");
  return code;
}

function detachedFlags(options: DevOptions): string[] {
  return [
    ...(options.build ? ["--build"] : []),
    ...(options.infraOnly ? ["--infra-only"] : []),
    ...(options.inspect ? ["--inspect"] : []),
    ...(options.clean ? ["--clean", "--yes"] : []),
    ...(options.types === false ? ["--no-types"] : []),
    ...(options.only ?? []).flatMap((name) => ["--only", name]),
    ...Object.entries(options.instances ?? {}).flatMap(([name, count]) => ["--instances", `${name}=${count}`]),
    ...(options.port === undefined ? [] : ["--port", String(options.port)]),
    ...(options.env === undefined ? [] : ["--env", options.env]),
  ];
}

async function runForeground(project: Project, options: DevOptions, io: Io): Promise<number> {
  const startedMs = performance.now();
  const colors = colorsFor(io);
  const loaded = await load(project, options, io);
  const { settings } = loaded;
  const choice: AgentChoice = {
    ...(options.only === undefined ? {} : { only: options.only }),
    ...(options.instances === undefined ? {} : { instances: options.instances }),
  };
  const agents = options.infraOnly ? [] : findAgents(project.root, settings, choice);
  if (agents.length > 0) checkInstalled(project.root);
  const { meshPlugins } = await import("../dev/mesh-plugins.ts");
  const plugins = await meshPlugins(project, loaded);
  const { port, drainMs, readyMs, restartMs } = settings.dev;

  const cleaning = (state: RunState): void =>
    io.err(colors.yellow(`soorma dev, process ${state.supervisor.pid}, did not end in order: cleaning up after it`));
  using claim = disposable(await claimProject(project.runFile, cleaning, drainMs));
  if (port !== undefined) checkPortFree(port);
  if (options.clean) cleanProject(project);
  makeSocketFolder(project.socketFolder);
  using _sockets = { [Symbol.dispose]: () => removeSocketFolder(project.socketFolder) };
  using log = openMeshLog(project.logFile);
  const names = agents.map(({ name }) => name);
  using screen = io.liveStderr
    ? (await import("../dev/screen.ts")).createScreen({ io, colors, root: project.root, names })
    : undefined;
  const print = (line: MeshLogLine, tone: Tone): void => {
    log.write(line);
    if (screen) screen.print(line, tone);
    else io.err(toJson(line));
  };
  const say = (line: string, tone: Tone): void => {
    print(
      { timeMs: Date.now(), name: "soorma", stream: "soorma", level: tone === "bad" ? "warn" : "info", line },
      tone,
    );
  };

  if (!options.infraOnly && agents.length === 0) {
    say(`no agents yet: they are looked for as ${agentPlaces}`, "bad");
  }
  let known = settings;
  const tellChanges = (saved: Settings): void => {
    const changed = changedSettings(known, saved);
    known = saved;
    if (changed.length === 0) return;
    const verb = changed.length === 1 ? "holds" : "hold";
    say(`${changed.join(", ")}: what was changed ${verb} when soorma dev is started again`, "plain");
  };
  const { meshParts } = await import("../dev/mesh-parts.ts");
  const parts = meshParts({ project, settings, plugins, claim: claim.value });
  const supervisor = createSupervisor({
    project,
    claim: claim.value,
    env: {
      ...io.env,
      ...(settings.environment === undefined ? {} : { [environmentVariable]: settings.environment }),
      ...(colors.isColorSupported ? { FORCE_COLOR: "1" } : {}),
    },
    ...parts,
    ...(options.infraOnly
      ? {}
      : {
          async loadAgents() {
            const { settings: saved } = await load(project, options, io);
            tellChanges(saved);
            return findAgents(project.root, saved, choice);
          },
        }),
    ...(options.build ? { buildFolder: project.buildFolder } : {}),
    drainMs,
    patienceMs: readyMs,
    backoffMs: restartMs,
    print,
    reload: { types: settings.dev.types },
    ...(options.inspect ? { debuggers: (await import("../dev/debuggers.ts")).createDebuggers() } : {}),
    onChange: () => screen?.refresh(),
  });

  using _errands = await watchOn(screen, supervisor, project, colors, io);
  const ended = Promise.withResolvers<number>();
  let code: number = exitCodes.done;
  const end = async (): Promise<void> => {
    await supervisor.stop();
    ended.resolve(code);
  };
  using _signals = io.onStopSignal((_signal, count) => {
    if (count === 1) {
      say("stopping; Ctrl-C again to stop at once", "plain");
      void end();
    } else {
      code = exitCodes.interrupted;
      void supervisor.kill().then(() => ended.resolve(code));
    }
  });

  if (io.signal.aborted) {
    // It came before anybody listened.
    await supervisor.stop();
    throw new Interrupted();
  }
  try {
    const summary = await supervisor.start();
    if (!io.signal.aborted) {
      const tookMs = Math.round(performance.now() - startedMs);
      const line = options.json ? JSON.stringify({ ready: true, tookMs, ...summary }) : readyText(summary, tookMs);
      // Where both are the same terminal, the line must not run into the status below it.
      if (screen && io.stdoutColumns !== undefined) screen.note(line);
      else io.out(line);
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

async function watchOn(
  screen: Screen | undefined,
  supervisor: Supervisor,
  project: Project,
  colors: Colors,
  io: Io,
): Promise<Disposable> {
  if (!screen) return { [Symbol.dispose]() {} };
  const { createErrands } = await import("../dev/errands.ts");
  const env = { ...io.env, ...(colors.isColorSupported ? { FORCE_COLOR: "1" } : {}) };
  const errands = createErrands({ project, env, guard: (pid) => supervisor.guard(pid) });
  screen.attach(supervisor, errands);
  return { [Symbol.dispose]: () => errands.kill() };
}

function readyText(summary: MeshSummary, tookMs: number): string {
  const agents = summary.processes.filter((process) => process.role === "agent");
  const running = agents.filter((agent) => agent.state === "ready");
  const count =
    agents.length === running.length ? `${agents.length} agents` : `${running.length} of ${agents.length} agents`;
  const names = running.length > 0 ? `: ${running.map((agent) => agent.name).join(", ")}` : "";
  // What a transport adds to an address is for programs: --json has it.
  const state = summary.state === undefined ? "" : ` · state ${summary.state.replace(/\?.*$/, "")}`;
  return `ready in ${tookMs} ms · ${registryText(summary)}${state} · ${count.replace(/^1 agents/, "1 agent")}${names}`;
}

function load(project: Project, options: DevOptions, io: Io): Promise<LoadedConfig> {
  return loadConfig(project.root, { environment: options.env, env: io.env, flags: flagsOf(options) });
}

function flagsOf({ port, types }: DevOptions): Flag[] {
  return [
    ...(port === undefined ? [] : [{ path: "dev.port", flag: "--port", value: port } as const]),
    ...(types === false ? [{ path: "dev.types", flag: "--no-types", value: false } as const] : []),
  ];
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
