import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createColors } from "../ui/colors.ts";
import { agentsIn, filterOfWords, isShown, parseGrep } from "./log-filter.ts";
import { type MeshLogLine, readChildLine } from "./log-line.ts";
import { createLinePainter } from "./log-painter.ts";
import { openMeshLog, previousLog, readMeshLog } from "./mesh-log.ts";

const paint = createLinePainter({ colors: createColors(false), root: "/p" });
const entry = {
  time: "2026-01-31T12:00:00.000Z",
  level: "warn",
  component: "worker",
  event: "task.failed",
  traceId: "t-1",
  task: "echo",
  error: {
    name: "TypeError",
    message: "boom",
    stack:
      "TypeError: boom\n    at run (/p/node_modules/soorma/x.ts:1:1)\n    at mine (/p/src/a.ts:3:4)\n    at async_hooks (node:x:1:1)",
  },
};
const line = readChildLine("worker-2", "stderr", JSON.stringify(entry), 5);

test("an entry of a child's log is one line with its trace, and a stack with the project's own frames first", () => {
  expect(line).toMatchObject({ level: "warn", event: "task.failed", traceId: "t-1", timeMs: Date.parse(entry.time) });
  expect(
    paint(line)
      .replace(/\d\d:\d\d:\d\d/, "time")
      .split("\n"),
  ).toEqual([
    "worker-2 │ time warn task.failed task=echo TypeError: boom trace=t-1",
    "worker-2 │   at mine (src/a.ts:3:4)",
    "worker-2 │   at run (/p/node_modules/soorma/x.ts:1:1)",
    "worker-2 │   at async_hooks (node:x:1:1)",
  ]);
});

test("text that is no entry stays as it is, without what would move the cursor", () => {
  expect(readChildLine("a", "stdout", '{"time":1}', 5)).toEqual({
    timeMs: 5,
    name: "a",
    stream: "stdout",
    line: '{"time":1}',
    level: "info",
  });
  const hostile = readChildLine("a", "stderr", "\x1b[2J\x1b[31mred\x1b]0;title\x07\rx", 5);
  expect(paint(hostile)).toBe("a        │ redx");
  const colorful = createLinePainter({ colors: createColors(true), root: "/p" });
  expect(colorful(hostile)).toEndWith("\x1b[31mredx\x1b[0m");
});

test("a log is filtered by agent, level, time, text and trace id", () => {
  expect(isShown(line, { agent: "worker" })).toBe(true);
  expect(isShown(line, { agent: "worker-2", level: "warn" })).toBe(true);
  expect(isShown(line, { agent: "work" })).toBe(false);
  expect(isShown(line, { level: "error" })).toBe(false);
  expect(isShown(line, { sinceMs: line.timeMs + 1 })).toBe(false);
  expect(isShown(line, { grep: parseGrep("BOOM|bang") })).toBe(true);
  expect(isShown(line, { grep: parseGrep("^t-1$") })).toBe(true);
  expect(() => parseGrep("(")).toThrow("( is no regular expression");
});

test("an agent's log is found by the name that the mesh knows it by, which is not that of its file", () => {
  const ready = (name: string, agentId: string): MeshLogLine =>
    readChildLine(
      name,
      "stdout",
      JSON.stringify({
        time: "2026-01-01T00:00:00Z",
        level: "info",
        component: "agent",
        event: "agent.ready",
        agentId,
      }),
      1,
    );
  const lines = [ready("writer-1", "shop-writer-0a1b2c3d4e"), ready("writer-2", "shop-writer-5e6f7g8h9i"), line];
  const agents = agentsIn([...lines, ...lines]);
  expect([...agents]).toEqual([["shop-writer", ["writer-1", "writer-2"]]]);
  const shown = (processes: readonly string[]) => lines.filter((one) => isShown(one, { processes }));
  expect(shown(agents.get("shop-writer") ?? [])).toEqual(lines.slice(0, 2));
});

test("words a person types are an agent, a level, or text", () => {
  const names = ["planner", "worker-1", "worker-2"];
  expect(filterOfWords("", names)).toEqual({});
  expect(filterOfWords("worker warn", names)).toEqual({ agent: "worker", level: "warn" });
  const { grep } = filterOfWords("planner took 3.5", names);
  expect([grep?.test("it TOOK 3.5 s"), grep?.test("took 345")]).toEqual([true, false]);
});

test("a log is read on from where it was read to, and the one before stays beside it", () => {
  const folder = mkdtempSync(join(tmpdir(), "soorma-log-"));
  const file = join(folder, "logs/mesh.jsonl");
  const say = (text: string): MeshLogLine => readChildLine("a", "stdout", text, 1);
  {
    using log = openMeshLog(file);
    log.write(say("one"));
    const first = readMeshLog(file);
    expect(first.lines).toEqual([say("one")]);
    log.write(line);
    const second = readMeshLog(file, first.end);
    expect(second.lines).toEqual([line]);
    expect(readMeshLog(file, second.end).lines).toEqual([]);
  }
  using _next = openMeshLog(file);
  expect(readMeshLog(file).lines).toEqual([]);
  expect(readMeshLog(previousLog(file)).lines).toHaveLength(2);
  rmSync(folder, { recursive: true });
});

test("who follows a log gets what came before a new one was begun, too", () => {
  const folder = mkdtempSync(join(tmpdir(), "soorma-log-"));
  const file = join(folder, "mesh.jsonl");
  const said = (text: string): MeshLogLine => readChildLine("worker", "stdout", text, 5);
  try {
    // Two of these lines, not three.
    using log = openMeshLog(file, { rotateBytes: 300 });
    log.write(said("one"));
    let { end, lines } = readMeshLog(file);
    expect(lines).toEqual([said("one")]);
    for (const text of ["two", "three", "four"]) log.write(said(text));
    ({ end, lines } = readMeshLog(file, end));
    expect(existsSync(previousLog(file))).toBe(true);
    expect(lines).toEqual([said("two"), said("three"), said("four")]);
    log.write(said("five"));
    expect(readMeshLog(file, end).lines).toEqual([said("five")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
