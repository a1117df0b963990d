import { expect, test } from "bun:test";
import { type AgentStats, type NodeAnswer, type NodeStats, SoormaError } from "@soorma/core";
import { createColors } from "../ui/colors.ts";
import { processTable } from "./process-table.ts";
import { type ProcessView, totalsOf, viewOf } from "./processes.ts";
import { drawTop, type TopState } from "./top-screen.ts";

const colors = createColors(false);
const nothing = { sent: 0, received: 0, malformed: 0, dropped: 0, waiting: 0, peers: 0 };

function agent(name: string, over: Partial<AgentStats> = {}): AgentStats {
  return {
    agentId: `${name}-1`,
    name,
    kind: "worker",
    concurrency: 4,
    handlers: { running: 0, waiting: 0 },
    events: { handled: 0, failed: 0 },
    requests: { answered: 0, failed: 0 },
    ...over,
  };
}

function stats(pid: number, agents: readonly AgentStats[], over: Partial<NodeStats> = {}): NodeStats {
  return {
    nodeId: `n-${pid}`,
    role: "agents",
    host: "here",
    pid,
    uptimeMs: 10_000,
    process: { uptimeMs: 11_000, rssBytes: 80e6, heapBytes: 20e6, cpuMs: 500 },
    agents,
    events: { published: 0, received: 0, malformed: 0, missed: 0, gaps: 0, duplicates: 0 },
    calls: { pending: 0, made: 0, answered: 0, refused: 0, malformed: 0, late: 0, doubled: 0 },
    transport: nothing,
    ...over,
  };
}

const answer = (of: NodeStats): NodeAnswer => ({ address: "a", nodeId: of.nodeId, agents: [], stats: of });

const tasks = { running: 2, suspended: 1, unacknowledged: 0, succeeded: 10, failed: 1 };
const before = stats(7, [agent("searcher", { tasks: { ...tasks, succeeded: 0 } })]);
const busy = stats(7, [agent("searcher", { tasks, handlers: { running: 1, waiting: 3 } })], {
  uptimeMs: 12_000,
  process: { uptimeMs: 13_000, rssBytes: 80e6, heapBytes: 20e6, cpuMs: 2_300 },
  events: { ...before.events, published: 4, received: 10, missed: 2 },
});

test("rates are what changed between two looks, by the process's own clock", () => {
  expect(viewOf(answer(busy), before)).toMatchObject({
    role: "worker",
    pid: 7,
    uptimeMs: 13_000,
    cpu: 0.9,
    running: 3,
    waiting: 3,
    eventsInPerSecond: 5,
    eventsOutPerSecond: 2,
    donePerSecond: 5,
    missed: 2,
  });
  // A first look knows no rates, and a process that started anew does not count backwards.
  expect(viewOf(answer(busy), undefined).cpu).toBeUndefined();
  expect(viewOf(answer(before), busy).eventsInPerSecond).toBeUndefined();
});

test("a process is called by what all its agents are", () => {
  const roleOf = (...agents: AgentStats[]): string => viewOf(answer(stats(1, agents)), undefined).role;
  expect(roleOf(agent("a"), agent("b"))).toBe("worker");
  expect(roleOf(agent("a"), agent("b", { kind: "tool" }))).toBe("mixed");
  expect(roleOf(agent("state", { kind: "service" }))).toBe("state");
  expect(viewOf(answer(stats(1, [], { role: "broker" })), undefined).role).toBe("broker");
  const silent = { address: "a", nodeId: "", agents: [], error: new SoormaError("TIMEOUT", "no") };
  expect(viewOf(silent, undefined)).toMatchObject({ role: "broker", pid: 0, problem: "no answer: busy or stopped" });
});

const views: ProcessView[] = [
  viewOf(answer(stats(2, [], { role: "broker" })), undefined),
  viewOf(answer(busy), before),
  viewOf(answer(stats(8, [agent("a"), agent("a", { agentId: "a-2" })])), undefined),
];
const record = { name: "deaf", kind: "tool", pid: 9, host: "here" } as NodeAnswer["agents"][number];
const deaf = viewOf(
  { address: "d", nodeId: "n-9", agents: [record], error: new SoormaError("TIMEOUT", "no") },
  undefined,
);

test("the table says what a process does, and of one that says nothing why", () => {
  expect(processTable([...views, deaf], { width: Number.POSITIVE_INFINITY, colors })).toEqual([
    "PID  ROLE    AGENTS                             UP    MEM  CPU  RUN  WAIT  IN/S  OUT/S  DONE/S  MISSED",
    "  2  broker                                   11 s  80 MB    –    0     0     –      –       –       0",
    "  7  worker  searcher                         13 s  80 MB  90%    3     3   5.0    2.0     5.0       2",
    "  8  worker  a ×2                             11 s  80 MB    –    0     0     –      –       –       0",
    "  9  tool    deaf no answer: busy or stopped     –      –    –    –     –     –      –       –       –",
  ]);
});

test("the sums leave out what is not known", () => {
  expect(totalsOf([...views, deaf])).toMatchObject({ processes: 4, agents: 4, running: 3, rssBytes: 240e6, cpu: 0.9 });
});

const state: TopState = { views: [...views, deaf], sorting: "cpu", paused: false, help: false, title: "soorma top /x" };

test("the picture has the silent process first, then the busiest, and the keys at its foot", () => {
  const lines = drawTop(state, { columns: 60, rows: 12, colors });
  expect(lines).toEqual([
    "soorma top /x",
    "4 processes · 4 agents · up 13 s · cpu 90% · memory 240 MB",
    "3 running · 3 waiting · 0 plans · events 5.0 in, 2.0 out/s",
    "5.0 done/s · 2 events missed",
    "",
    "PID  ROLE    AGENTS            CPU  RUN  IN/S  OUT/S  MISSED",
    "  9  tool    deaf no answer:…    –    –     –      –       –",
    "  7  worker  searcher          90%    3   5.0    2.0       2",
    "  2  broker                      –    0     –      –       0",
    "  8  worker  a ×2                –    0     –      –       0",
    "q leave  ? help  s by cpu  p pause",
  ]);
  expect(drawTop({ ...state, sorting: "name", paused: true }, { columns: 60, rows: 12, colors }).at(-1)).toEndWith(
    "paused",
  );
});

test("the picture fits every terminal", () => {
  for (const help of [false, true]) {
    for (const columns of [20, 40, 80, 200]) {
      for (const rows of [4, 8, 24]) {
        const lines = drawTop({ ...state, help }, { columns, rows, colors: createColors(true) });
        expect(lines.length).toBeLessThanOrEqual(rows);
        expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(columns);
      }
    }
  }
  const small = drawTop(state, { columns: 60, rows: 9, colors });
  expect(small.at(-2)).toBe("… and 3 more");
});
