import type { AgentStats, Client, NodeAnswer, NodeStats } from "@soorma/core";

/** One process of a mesh, as `ps` and `top` show it. What it did not say is absent. */
export interface ProcessView {
  readonly nodeId: string;
  readonly host: string;
  /** 0 when nobody knows it. */
  readonly pid: number;
  /** What all its agents are; `mixed` when they differ. */
  readonly role: "broker" | "state" | "planner" | "worker" | "tool" | "client" | "service" | "mixed";
  /** Names, each once, with how many agents of the process have it. */
  readonly agents: readonly { readonly name: string; readonly count: number }[];
  readonly uptimeMs?: number;
  readonly rssBytes?: number;
  readonly heapBytes?: number;
  /** Share of one core between the two looks. */
  readonly cpu?: number;
  /** Tasks and other handlers that run, and what waits for its turn. */
  readonly running?: number;
  readonly waiting?: number;
  /** Between the two looks. */
  readonly eventsInPerSecond?: number;
  readonly eventsOutPerSecond?: number;
  /** Tasks, requests and events that ended, well or not. */
  readonly donePerSecond?: number;
  /** Events that never came, since the process started. */
  readonly missed?: number;
  readonly plans?: number;
  /** Why it said nothing. */
  readonly problem?: string;
  readonly stats?: NodeStats;
}

/** Looks at every process of a mesh, again and again; a look tells of the time since the one before. */
export interface ProcessWatch {
  look(signal?: AbortSignal): Promise<ProcessView[]>;
}

/** Milliseconds a process has to say how it is. */
const answerMs = 1_000;

export function watchProcesses(client: Pick<Client, "registry" | "record">): ProcessWatch {
  let last = new Map<string, NodeStats>();
  return {
    async look(signal) {
      const own = client.record().nodeId;
      const answers = await client.registry.stats({ timeoutMs: answerMs, ...(signal ? { signal } : {}) });
      const others = answers.filter(({ nodeId }) => nodeId !== own);
      const views = others.map((answer) => viewOf(answer, last.get(answer.nodeId)));
      last = new Map(others.flatMap(({ nodeId, stats }) => (stats ? [[nodeId, stats]] : [])));
      return views.sort(byImportance);
    },
  };
}

/** Infrastructure first, then by name and process: the same order at every look. */
function byImportance(a: ProcessView, b: ProcessView): number {
  const rank = ({ role }: ProcessView): number =>
    role === "broker" ? 0 : role === "state" ? 1 : role === "client" ? 3 : 2;
  return rank(a) - rank(b) || (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : a.pid - b.pid);
}

export function nameOf({ agents }: Pick<ProcessView, "agents">): string {
  return agents.map(({ name, count }) => (count > 1 ? `${name} ×${count}` : name)).join(", ");
}

export function viewOf(answer: NodeAnswer, before: NodeStats | undefined): ProcessView {
  const { nodeId, stats, error, agents: records } = answer;
  const hosted: readonly Pick<AgentStats, "name" | "kind">[] =
    stats?.role === "broker" ? [] : (stats?.agents ?? records);
  const names = new Map<string, number>();
  for (const { name } of hosted) names.set(name, (names.get(name) ?? 0) + 1);
  const common = {
    nodeId,
    host: stats?.host ?? records[0]?.host ?? "",
    pid: stats?.pid ?? records[0]?.pid ?? 0,
    role: roleOf(hosted, stats ? stats.role === "broker" : records.length === 0),
    agents: [...names].map(([name, count]) => ({ name, count })).sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
  if (!stats) return { ...common, problem: problemOf(error) };
  return { ...common, ...figuresOf(stats), ...ratesOf(stats, before), stats };
}

function roleOf(agents: readonly Pick<AgentStats, "name" | "kind">[], isBroker: boolean): ProcessView["role"] {
  if (isBroker) return "broker";
  const [first] = agents;
  // A client that just left; its node follows.
  if (!first) return "client";
  if (agents.some(({ kind }) => kind !== first.kind)) return "mixed";
  return first.kind === "service" && first.name === "state" ? "state" : first.kind;
}

function figuresOf({ agents, events, process, uptimeMs }: NodeStats): Partial<ProcessView> {
  const plans = sum(agents, ({ plans }) => plans?.driving ?? 0);
  return {
    uptimeMs: Math.round(process?.uptimeMs ?? uptimeMs),
    ...(process ? { rssBytes: process.rssBytes, heapBytes: process.heapBytes } : {}),
    running: sum(agents, ({ handlers, tasks }) => handlers.running + (tasks?.running ?? 0)),
    waiting: sum(agents, ({ handlers, plans }) => handlers.waiting + (plans?.queued ?? 0)),
    missed: events.missed,
    ...(agents.some(({ kind }) => kind === "planner") ? { plans } : {}),
  };
}

/** By the node's own clock, so that the way of its answer does not matter. */
function ratesOf(now: NodeStats, before: NodeStats | undefined): Partial<ProcessView> {
  const tookMs = now.uptimeMs - (before?.uptimeMs ?? 0);
  if (!before || tookMs <= 0) return {};
  const perSecond = (of: (stats: NodeStats) => number): number => Math.max(0, ((of(now) - of(before)) / tookMs) * 1000);
  return {
    ...(now.process && before.process ? { cpu: Math.max(0, (now.process.cpuMs - before.process.cpuMs) / tookMs) } : {}),
    eventsInPerSecond: perSecond(({ events }) => events.received),
    eventsOutPerSecond: perSecond(({ events }) => events.published),
    donePerSecond: perSecond(({ agents }) =>
      sum(
        agents,
        ({ events, requests, tasks }) =>
          events.handled +
          events.failed +
          requests.answered +
          requests.failed +
          (tasks ? tasks.succeeded + tasks.failed : 0),
      ),
    ),
  };
}

function problemOf(error: NodeAnswer["error"]): string {
  switch (error?.code) {
    // Of one whose thread is busy a connection is not answered either.
    case "TIMEOUT":
    case "PEER_UNREACHABLE":
      return "no answer: busy or stopped";
    case "METHOD_UNKNOWN":
    case "PAYLOAD_INVALID":
      return "another version of soorma";
    default:
      return error?.code ?? "no answer";
  }
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}

/** What all processes together do. */
export function totalsOf(views: readonly ProcessView[]) {
  const add = (of: (view: ProcessView) => number | undefined): number => sum(views, (view) => of(view) ?? 0);
  return {
    processes: views.length,
    agents: sum(views, ({ agents }) => sum(agents, ({ count }) => count)),
    running: add(({ running }) => running),
    waiting: add(({ waiting }) => waiting),
    plans: add(({ plans }) => plans),
    rssBytes: add(({ rssBytes }) => rssBytes),
    cpu: add(({ cpu }) => cpu),
    eventsInPerSecond: add(({ eventsInPerSecond }) => eventsInPerSecond),
    eventsOutPerSecond: add(({ eventsOutPerSecond }) => eventsOutPerSecond),
    donePerSecond: add(({ donePerSecond }) => donePerSecond),
    missed: add(({ missed }) => missed),
  };
}
