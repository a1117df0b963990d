import { expect, test } from "bun:test";
import type { Envelope } from "@soorma/core";
import { createColors } from "../../ui/colors.ts";
import { eventLine, gapLine } from "./event-line.ts";

const colors = createColors(false);
const event: Envelope = {
  id: "n-1-2",
  source: "searcher-a1b2c3d4e5",
  specversion: "1.0",
  type: "papers.found",
  time: new Date(2026, 0, 2, 3, 4, 5, 6).getTime(),
  topic: "business-facts",
  data: { topic: "bees\u001b[2J", count: 2 },
  correlationId: "c",
  traceId: "n-0-1",
  parentId: "n-1-1",
  planId: "plan-7",
  tenantId: "default",
  hops: 1,
};
const at = (columns: number | undefined, ids = false) => eventLine(event, { colors, width: () => columns, ids });
const line = '03:04:05.006  papers.found  searcher  {"topic":"bees","count":2}';

test("off a terminal an event is one line with everything", () => {
  expect(at(undefined)).toBe(
    `${line.replace("bees", "bees\\u001b[2J")}  trace n-0-1  parent n-1-1  id n-1-2  plan plan-7`,
  );
});

test("on a terminal the line is cut, and ids stand where there is room for them or below", () => {
  expect(at(40)).toBe('03:04:05.006  papers.found  searcher  {"');
  expect(at(140)).toEndWith('"count":2}  trace n-0-1');
  expect(at(100)).not.toContain("trace");
  const lines = at(60, true).split("\n");
  expect(lines.slice(1)).toEqual(["    trace n-0-1", "    parent n-1-1", "    id n-1-2", "    plan plan-7"]);
  for (const columns of [20, 40, 80, 130, 200]) {
    for (const one of at(columns, columns < 100).split("\n")) expect(Bun.stringWidth(one)).toBeLessThanOrEqual(columns);
  }
});

test("what was missed is told by number, type and publisher", () => {
  const data = { publisher: "n-8", channel: "default.papers.found.@business-facts.", from: 3, to: 5, count: 3 };
  const gap = { ...event, type: "system.bus.gap", data };
  expect(gapLine(gap, { colors, width: () => undefined })).toBe(
    "03:04:05.006  3 missed of papers.found, numbers 3 to 5 of node n-8",
  );
});
