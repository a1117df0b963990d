import { expect, test } from "bun:test";
import { createColors } from "../ui/colors.ts";
import { createRateMeter } from "./rates.ts";
import { type DevStatus, drawHelp, drawStatus } from "./status-line.ts";

const colors = createColors(false);
const status: DevStatus = {
  phase: "running",
  agents: [
    { name: "planner", instances: 1, ready: 1 },
    { name: "worker", instances: 3, ready: 2 },
  ],
  tasks: 1,
  eventsPerSecond: 12.4,
  filter: "",
};

test("agents, instances, running tasks and events per second are on one line", () => {
  expect(drawStatus(status, 200, colors)).toBe("● 2 agents · 3 of 4 instances · 1 task running · 12 events/s · ? help");
  expect(drawStatus({ ...status, phase: "starting", agents: [], tasks: 0, filter: "worker warn" }, 200, colors)).toBe(
    "● starting · 0 agents · 0 instances · 0 tasks running · 12 events/s · only worker warn · ? help",
  );
});

test("where there is no room for all, what matters least is left out, and help stays", () => {
  for (let width = 1; width < 80; width++) {
    const line = drawStatus(status, width, colors);
    expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
    if (width >= 19) expect(line).toEndWith("? help");
  }
  expect(drawStatus(status, 40, colors)).toBe("● 2 agents · 3 of 4 instances · ? help");
  expect(drawHelp(30, colors)).toEqual([
    "r restart   l filter logs",
    "p plans",
    "g send the last goal again",
    "? help   q quit",
  ]);
});

test("a rate is of what processes counted since the last look, an event between two of them once", () => {
  const meter = createRateMeter();
  const count = (published: number, received: number) => ({ tasks: 0, published, received });
  expect(meter.take(new Map([[1, count(100, 50)]]), 0)).toBe(0);
  expect(
    meter.take(
      new Map([
        [1, count(110, 50)],
        [2, count(0, 70)],
      ]),
      1_000,
    ),
  ).toBe(10);
  // Process 1 is gone, and 3 is new: neither says anything of this interval.
  expect(
    meter.take(
      new Map([
        [2, count(0, 90)],
        [3, count(500, 500)],
      ]),
      3_000,
    ),
  ).toBe(10);
});
