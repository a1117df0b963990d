import { dirname, join } from "node:path";
import type { MeshFile } from "../mesh-file.ts";
import { meshFileVariable, removeMeshFile, writeMeshFile } from "../mesh-file.ts";
import { diskFault, whyUnwritten } from "../ui/disk-fault.ts";
import { reportOf } from "../ui/errors.ts";
import { type AgentRunner, createAgentRunner } from "./agent-runner.ts";
import { type AgentEntry, agentSources } from "./agents.ts";
import { browserUrl, type Debuggers } from "./debuggers.ts";
import { createInfra, type Infra } from "./infra.ts";
import { type MeshLogLine, readChildLine } from "./log-line.ts";
import { type ProcessHost, type ProcessSpec, type Role, type StartOptions, startProcess } from "./managed-process.ts";
import type { Project } from "./project.ts";
import type { Claim, ProcessStatus, RunState } from "./run-state.ts";
import { type Sentinel, startSentinel } from "./sentinel.ts";
import { createStandbys } from "./standbys.ts";
import type { Activity } from "./supervised.ts";
import { createTypeChecker } from "./type-check.ts";
import { createWatcher } from "./watcher.ts";

export interface SupervisorOptions {
  readonly project: Project;
  readonly claim: Claim;
  /** Of all processes, before what each adds. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absent: the mesh's registry is none that has to be run here. */
  readonly broker?: PartSpec & {
    /** Where it is going to listen. */
    readonly address: string;
  };
  readonly state: PartSpec;
  /** For people, when there is no broker: what the registry is called. */
  readonly registry: string;
  /** `brokerPid` is absent when there is no broker. */
  meshFile(pids: { readonly broker: number | undefined; readonly state: number }): MeshFile;
  /** Called at the start, and again when what it depends on changed. Absent: no agents. */
  readonly loadAgents?: () => Promise<readonly AgentEntry[]>;
  /** Bundle the agents into it, and run the bundles. */
  readonly buildFolder?: string;
  readonly drainMs: number;
  readonly print: (line: MeshLogLine, tone: "plain" | "good" | "bad") => void;
  /** Milliseconds after which an agent that is not ready is no longer waited for. Default 10_000. */
  readonly patienceMs?: number;
  /** Milliseconds before the first restart of what crashed. Default 500. */
  readonly backoffMs?: number;
  /** Follow what is saved, and be quick about it: processes that stand by, and types checked before. Default false. */
  readonly reload?: { readonly types: boolean };
  /** Of the agents: each has a debugger, and so only one process at a time. */
  readonly debuggers?: Debuggers;
  /** Something that a person would see changed. */
  onChange?(): void;
}

/** How a part that is no agent is started. */
export interface PartSpec {
  /** What to call bun with. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface MeshSummary {
  /** The broker's address; absent when there is none. */
  readonly broker?: string;
  /** The state node's, once it is known. */
  readonly state?: string;
  readonly registry: string;
  readonly processes: readonly ProcessStatus[];
}

/** Broker, state node and agents of one project, as long as this process lives. */
export interface Supervisor {
  /** Resolves when everything is ready, or is known not to become so by itself. Rejects when broker or state cannot start. */
  start(): Promise<MeshSummary>;
  /** Ends agents, then state node, then broker, each with time to finish. Twice is fine. */
  stop(): Promise<void>;
  /** Ends everything now. Resolves when nothing is left, which takes a few milliseconds, and after a second at the latest. */
  kill(): Promise<void>;

  summary(): MeshSummary;
  readonly phase: RunState["phase"];
  /** Every instance of every agent, and which agent it is one of. */
  readonly agents: readonly (ProcessStatus & { readonly agent: string })[];
  /** What the agents' processes did so far, by process. One that does not say is left out. */
  activity(): Promise<ReadonlyMap<number, Activity>>;
  /** Starts an agent anew, or all of them, the way a saved file does. Returns the names of its instances. */
  restart(agent?: string): readonly string[];
  /** Has a process ended with this one, however this one ends. */
  guard(pid: number): Disposable;
}

/** Each is a process that waits, of about 70 MB. */
const mostStandbys = 4;
/** Milliseconds after the last start before a process is made that stands by. */
const standbyQuietMs = 150;
/** Milliseconds an agent with a debugger has to finish its work. */
const debuggedDrainMs = 1_000;
/** Milliseconds to wait for processes that were killed. */
const killMs = 1_000;
/** What could not be noted is tried again after so many milliseconds. */
const renoteMs = 1_000;

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { project, claim, drainMs, patienceMs = 10_000, backoffMs = 500 } = options;
  const startedAtMs = Date.now();
  const standbyModule = soormaOf(project.root);
  const sentinel: Sentinel = startSentinel(drainMs + 2_000);
  const env = { ...options.env, [meshFileVariable]: project.meshFile };
  const runners = new Map<string, AgentRunner>();
  const { debuggers } = options;
  const standbys =
    options.reload && !debuggers
      ? createStandbys({ most: mostStandbys, quietMs: standbyQuietMs, onChange: () => publish() })
      : undefined;
  const types = options.reload?.types
    ? createTypeChecker({
        root: project.root,
        buildFolder: project.buildFolder,
        sentinel,
        warn: (text) => say("soorma", text, "bad"),
        onChange: () => publish(),
      })
    : undefined;
  let phase: RunState["phase"] = "starting";
  let stopping: Promise<void> | undefined;
  let killed = false;
  let hasSaved = false;

  const say = (name: string, text: string, tone: "plain" | "good" | "bad"): void => {
    const level = tone === "bad" ? "error" : "info";
    options.print({ timeMs: Date.now(), name, stream: "soorma", level, line: text }, tone);
  };
  const host: ProcessHost = {
    sentinel,
    onLine: ({ name }, stream, line) => options.print(readChildLine(name, stream, line, Date.now()), "plain"),
  };
  /** The ends of all processes that have not ended. */
  const alive = new Set<Promise<unknown>>();
  const start = (spec: ProcessSpec, how?: StartOptions) => {
    const started = startProcess(spec, host, how);
    alive.add(started.exited);
    void started.exited.then(() => alive.delete(started.exited));
    return started;
  };
  const specOf = (name: string, role: Role, argv: readonly string[], extra: Readonly<Record<string, string>> = {}) => ({
    name,
    role,
    argv,
    cwd: project.root,
    env: { ...env, ...extra },
    drainMs,
  });

  const agentSpec = ({ name, env: own }: AgentEntry, file: string): ProcessSpec => {
    if (!debuggers) return specOf(name, "agent", [file], own);
    const spec = specOf(name, "agent", [file], { ...own, BUN_INSPECT: debuggers.urlOf(name) });
    // One that is held at a breakpoint cannot finish anything.
    return { ...spec, drainMs: Math.min(drainMs, debuggedDrainMs) };
  };

  const statuses = (): ProcessStatus[] => [
    ...infra.map((node) => node.status),
    ...[...runners.values()].map((runner) => runner.status),
  ];
  const helpers = (): Pick<RunState, "standbys" | "typeServer"> => ({
    standbys: standbys?.processes ?? [],
    ...(types?.process ? { typeServer: types.process } : {}),
  });
  const publish = (): void => {
    options.onChange?.();
    if (killed || stopping) return;
    note(() => {
      claim.update({
        phase,
        startedAtMs,
        ...summary(),
        ...helpers(),
      });
      const pids = { broker: broker?.pid, state: state.pid };
      if ((!broker || pids.broker !== undefined) && pids.state !== undefined) {
        writeMeshFile(project.meshFile, options.meshFile({ broker: pids.broker, state: pids.state }));
      }
    });
    watchFiles();
  };
  let notedAgain: ReturnType<typeof setTimeout> | undefined;
  /** A disk that is full must not end what runs: it is noted as soon as there is room. */
  const note = (write: () => void): void => {
    const isRepeated = notedAgain !== undefined;
    clearTimeout(notedAgain);
    notedAgain = undefined;
    try {
      write();
      if (isRepeated) say("soorma", "what runs is noted again", "plain");
    } catch (error) {
      const why = diskFault(error);
      if (why === undefined) throw error;
      if (!isRepeated) {
        const folder = dirname(project.runFile);
        say(
          "soorma",
          `what runs cannot be noted in ${folder}: ${why}; it goes on, and commands may not find it`,
          "bad",
        );
      }
      if (!stopping && !killed) notedAgain = setTimeout(publish, renoteMs);
    }
  };

  /** A disk that lets go of nothing must not keep what runs from ending. */
  const withdraw = (): void => {
    try {
      removeMeshFile(project.meshFile);
    } catch (error) {
      const why = whyUnwritten(error);
      say("soorma", `${project.meshFile} cannot be removed: ${why}; everything ends all the same`, "bad");
    }
  };

  const nodeOptions = { start, say, onChange: publish, backoffMs: Math.min(backoffMs, 100) };
  const part = (name: "broker" | "state", { argv, env }: PartSpec): Infra =>
    createInfra(specOf(name, name, argv, env), nodeOptions);
  const broker = options.broker && part("broker", options.broker);
  const state = part("state", options.state);
  const infra: readonly Infra[] = broker ? [broker, state] : [state];

  const watcher = createWatcher((changed) => void onSaved(changed));
  const sources = new Set(agentSources(project.root));
  /** What is different after these were saved is in no process that was started before. */
  const installed = ["package.json", "bun.lock", "tsconfig.json"].map((name) => join(project.root, name));
  const watchFiles = (): void => {
    if (options.loadAgents)
      watcher.setFiles([...sources, ...installed, ...[...runners.values()].flatMap((r) => [...r.files])]);
  };

  const onSaved = async (changed: ReadonlySet<string>): Promise<void> => {
    if (stopping || killed) return;
    hasSaved = true;
    const before = new Set(runners.values());
    if (installed.some((path) => changed.has(path))) standbys?.renew();
    if ([...changed].some((path) => sources.has(path))) await syncAgents({ isFirst: false });
    for (const runner of runners.values()) {
      if (before.has(runner) && [...changed].some((path) => runner.files.has(path))) void runner.refresh();
    }
  };

  let loads = 0;
  /** The latest that the agents are of. */
  let loaded = 0;
  /**
   * Starts agents that are new, stops those that are gone. Resolves when each is settled.
   *
   * @throws what is wrong with the configuration, the first time; later that is only said.
   */
  const syncAgents = async ({ isFirst }: { readonly isFirst: boolean }): Promise<void> => {
    const mine = ++loads;
    let entries: readonly AgentEntry[];
    try {
      entries = (await options.loadAgents?.()) ?? [];
    } catch (error) {
      if (isFirst) throw error;
      const { message, hint } = reportOf(error);
      say("soorma", hint === undefined ? message : `${message}\n${hint}`, "bad");
      return;
    }
    // What was read later counts, whichever took longer.
    if (stopping || killed || mine < loaded) return;
    loaded = mine;
    const wanted = new Map(entries.map((entry) => [keyOf(entry), entry]));
    for (const [key, runner] of runners) {
      if (wanted.has(key)) continue;
      runners.delete(key);
      say(runner.entry.name, "is no agent of the project any more: stopped", "plain");
      void runner.stop();
    }
    const fresh = [...wanted].filter(([key]) => !runners.has(key));
    for (const [key, entry] of fresh) {
      const runner = createAgentRunner(entry, {
        root: project.root,
        buildFolder: options.buildFolder,
        start,
        specOf: (agent, file) => agentSpec(agent, file),
        standbys,
        standbyModule,
        types,
        debuggerUrl: debuggers?.urlOf(entry.name),
        say,
        onChange: publish,
        backoffMs,
      });
      runners.set(key, runner);
      if (debuggers) {
        const url = debuggers.urlOf(entry.name);
        say(entry.name, `debugger at ${url}, in a browser ${browserUrl(url)}`, "plain");
      }
    }
    await Promise.all(fresh.map(([key]) => settled(runners.get(key))));
    publish();
  };

  const settled = async (runner: AgentRunner | undefined): Promise<void> => {
    if (!runner) return;
    const timer = Promise.withResolvers<void>();
    const handle = setTimeout(() => {
      say(
        runner.entry.name,
        `is not ready after ${patienceMs / 1000} s: does it \`await\` its \`run()\`? It is not waited for any longer`,
        "bad",
      );
      timer.resolve();
    }, patienceMs);
    await Promise.race([runner.refresh(phase === "starting" ? "start" : "saved"), timer.promise]);
    clearTimeout(handle);
  };

  const summary = (): MeshSummary => ({
    ...(options.broker ? { broker: options.broker.address } : {}),
    ...(typeof state.info.address === "string" ? { state: state.info.address } : {}),
    registry: options.registry,
    processes: statuses(),
  });

  /** Of what is there from the start there is no older version to go on with: its faults are only shown. */
  const checkTypes = async (): Promise<void> => {
    const files = new Set([...runners.values()].flatMap((runner) => [...runner.files]));
    const verdict = await types?.check(files);
    // Since a file was saved, its own verdict says what is true now.
    if (!verdict || verdict.ok || stopping || killed || hasSaved) return;
    say("soorma", `${verdict.problem.replaceAll(`${project.root}/`, "")}\nthe agents run all the same`, "bad");
  };

  return {
    async start() {
      publish();
      // All at once: each waits by itself for what it needs of the others. The mesh file is in place as soon as
      // broker and state node have processes, which is before the first agent has one.
      await Promise.all([...infra.map((node) => node.start()), syncAgents({ isFirst: true })]);
      phase = "ready";
      publish();
      standbys?.begin();
      void checkTypes();
      return summary();
    },
    stop() {
      stopping ??= (async () => {
        phase = "stopping";
        options.onChange?.();
        watcher[Symbol.dispose]();
        types?.close();
        note(() => claim.update({ phase, startedAtMs, ...summary(), ...helpers() }));
        // Nobody new shall come.
        withdraw();
        await Promise.all([standbys?.stop(), ...[...runners.values()].map((runner) => runner.stop())]);
        await state.stop();
        await broker?.stop();
        sentinel.close();
      })();
      return stopping;
    },
    async kill() {
      killed = true;
      clearTimeout(notedAgain);
      watcher[Symbol.dispose]();
      types?.close();
      standbys?.kill();
      withdraw();
      for (const runner of runners.values()) runner.kill();
      for (const node of infra) node.kill();
      sentinel.close();
      await Promise.race([Promise.allSettled(alive), Bun.sleep(killMs)]);
    },
    summary,
    get phase() {
      return phase;
    },
    get agents() {
      return [...runners.values()].map((runner) => ({ ...runner.status, agent: runner.entry.agent }));
    },
    async activity() {
      const found = await Promise.all(
        [...runners.values()].flatMap(({ process }) => {
          if (!process?.isReady || !process.identity) return [];
          const { pid } = process.identity;
          return [process.activity().then((activity) => [pid, activity] as const)];
        }),
      );
      return new Map(found.flatMap(([pid, activity]) => (activity ? [[pid, activity] as const] : [])));
    },
    restart(agent) {
      const chosen = [...runners.values()].filter(
        ({ entry }) => agent === undefined || entry.agent === agent || entry.name === agent,
      );
      for (const runner of chosen) void runner.refresh();
      return chosen.map(({ entry }) => entry.name);
    },
    guard(pid) {
      sentinel.add(pid);
      return { [Symbol.dispose]: () => sentinel.remove(pid) };
    },
  };
}

function keyOf(entry: AgentEntry): string {
  return JSON.stringify([entry.name, entry.file, entry.env]);
}

/** The soorma that the project's agents import; "" when there is none. */
function soormaOf(root: string): string {
  try {
    return Bun.resolveSync("soorma", root);
  } catch {
    return "";
  }
}
