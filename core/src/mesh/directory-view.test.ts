import { expect, test } from "bun:test";
import { agentRecord } from "../../testing/index.ts";
import { stateCapability } from "../state-caller.ts";
import { DirectoryView } from "./directory-view.ts";

test("a queue group is still there while its members cannot be reached, and gone with the last that leaves", () => {
  const view = new DirectoryView("default");
  const consumes = [{ type: "goal.completed", group: "readers" }];
  const records = [1, 2].map((n) =>
    agentRecord({ agentId: `reader-${n}`, nodeId: `n-${n}`, address: `inproc://${n}`, consumes }),
  );
  view.apply({ kind: "snapshot", revision: 1, records });
  const members = () =>
    view.groups("goal.completed", "action-results").map(({ group, members }) => [group, members.length]);
  expect(members()).toEqual([["readers", 2]]);
  view.setReachable("inproc://1", false);
  expect(members()).toEqual([["readers", 1]]);
  view.setReachable("inproc://2", false);
  expect(members()).toEqual([["readers", 0]]);
  view.setReachable("inproc://1", true);
  expect(members()).toEqual([["readers", 1]]);
  view.apply({ kind: "down", revision: 2, agentId: "reader-1", reason: "left" });
  view.apply({ kind: "down", revision: 3, agentId: "reader-2", reason: "left" });
  expect(members()).toEqual([]);
});

test("a lost address is a stranger's once nobody the node calls is there, state nodes of other tenants included", () => {
  const view = new DirectoryView("default");
  const own = agentRecord({ agentId: "a", address: "at-a" });
  const state = agentRecord({ agentId: "s", address: "at-s", tenant: "other", capabilities: [stateCapability] });
  for (const record of [own, state]) view.apply({ kind: "up", revision: 1, record });
  for (const { address } of [own, state]) view.setReachable(address, false);
  expect(view.lostStrangers()).toEqual([]);
  view.apply({ kind: "down", revision: 2, agentId: "a", reason: "expired" });
  expect(view.lostStrangers()).toEqual(["at-a"]);
  view.apply({ kind: "down", revision: 3, agentId: "s", reason: "expired" });
  expect(view.lostStrangers()).toEqual(["at-a", "at-s"]);
});
