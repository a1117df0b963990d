import { expect } from "bun:test";
import type { DirectoryChange } from "../../src/registry/records.ts";
import { agentRecord } from "../records.ts";
import { waitFor } from "../wait-for.ts";
import {
  bound,
  calculator,
  directoryView,
  everybody,
  lease,
  planner,
  type RegistryCheck,
  shortLeaseMs,
  told,
} from "./shared.ts";

/** The part of the registry contract that is about being told of changes. */
export function watchChecks(check: RegistryCheck): void {
  check("a watcher gets a snapshot before its watch is there", async (registry) => {
    const { revision } = await registry.register(planner, lease);
    const seen: DirectoryChange[] = [];
    await using watch = await registry.watch((change) => void seen.push(change));
    expect(seen[0]).toEqual({ kind: "snapshot", revision: watch.revision, records: [planner] });
    expect(watch.revision).toBeGreaterThanOrEqual(revision);
  });

  check("a watcher is told what another client changes, and why somebody left", async (registry, fixture) => {
    const other = await fixture.connect();
    const seen: DirectoryChange[] = [];
    await using watch = await registry.watch((change) => void seen.push(change));
    const up = await other.register(planner, lease);
    const changed = await other.register({ ...planner, ready: true }, lease);
    await other.deregister(["planner-1"]);
    await waitFor(() => seen.some(({ kind }) => kind === "down"), bound(fixture));
    expect(told(seen)).toEqual([
      { kind: "up", revision: up.revision, record: planner },
      { kind: "changed", revision: changed.revision, record: { ...planner, ready: true } },
      { kind: "down", revision: watch.revision, agentId: "planner-1", reason: "left" },
    ]);
  });

  check(
    "a watcher is told that a lease ran out",
    async (registry, fixture) => {
      const seen: DirectoryChange[] = [];
      await using _watch = await registry.watch((change) => void seen.push(change));
      await registry.register(planner, { leaseMs: shortLeaseMs });
      await waitFor(() => seen.some(({ kind }) => kind === "down"), bound(fixture));
      expect(told(seen).at(-1)).toMatchObject({ kind: "down", agentId: "planner-1", reason: "expired" });
    },
    "leases",
  );

  check("a watcher that saw the revision of a registration knows the record", async (registry, fixture) => {
    const other = await fixture.connect();
    const view = directoryView();
    await using watch = await registry.watch(view.apply);
    for (const record of everybody) {
      const { revision } = await other.register(record, lease);
      await waitFor(() => watch.revision >= revision, bound(fixture));
      expect(view.records.get(record.agentId)).toEqual(record);
    }
  });

  check("with many changes at once a watcher sees all in order of revision", async (registry, fixture) => {
    const others = await Promise.all([fixture.connect(), fixture.connect(), fixture.connect()]);
    const view = directoryView();
    await using watch = await registry.watch(view.apply);
    const work = others.map(async (other, client) => {
      for (let i = 0; i < 40; i++) {
        const record = agentRecord({ agentId: `c${client}-${i}`, pid: i });
        await other.register(record, lease);
        if (i % 2 === 0) await other.register({ ...record, ready: false }, lease);
        if (i % 3 === 0) await other.deregister([record.agentId]);
      }
    });
    await Promise.all(work);
    const { revision } = await registry.register(planner, lease);
    await waitFor(() => watch.revision >= revision, bound(fixture));
    const known = await registry.find({});
    expect([...view.records.values()].map((one) => one.agentId).sort()).toEqual(known.map((one) => one.agentId).sort());
    for (const record of known) expect(view.records.get(record.agentId)).toEqual(record);
    expect(view.outOfOrder).toEqual([]);
  });

  check("registering the same record again is nothing to tell", async (registry, fixture) => {
    const other = await fixture.connect();
    const seen: DirectoryChange[] = [];
    await using _watch = await registry.watch((change) => void seen.push(change));
    await other.register(planner, lease);
    await other.register(planner, lease);
    await other.register(calculator, lease);
    await waitFor(
      () => told(seen).some((change) => change.kind === "up" && change.record.name === "calculator"),
      bound(fixture),
    );
    expect(told(seen).map(({ kind }) => kind)).toEqual(["up", "up"]);
  });

  check("a watch that was disposed, even twice, hears nothing more; another one goes on", async (registry, fixture) => {
    const seen: DirectoryChange[] = [];
    const heard: DirectoryChange[] = [];
    const ended = await registry.watch((change) => void seen.push(change));
    await using _lasting = await registry.watch((change) => void heard.push(change));
    await ended[Symbol.asyncDispose]();
    await ended[Symbol.asyncDispose]();
    await registry.register(planner, lease);
    await waitFor(() => told(heard).length === 1, bound(fixture));
    expect(told(seen)).toEqual([]);
  });

  check("after an interruption a watcher gets a new snapshot, then changes again", async (registry, fixture) => {
    await registry.register(planner, lease);
    const view = directoryView();
    await using watch = await registry.watch(view.apply);
    await fixture.outage();
    await fixture.restore();
    await waitFor(() => view.snapshots >= 2, { ...bound(fixture), message: () => `${view.snapshots} snapshots came` });
    // Another client brings what may have been lost with the registry, and something new.
    const other = await fixture.connect();
    for (const record of [planner, calculator]) await other.register(record, lease);
    await waitFor(() => view.records.has("planner-1") && view.records.has("calculator-1"), bound(fixture));
    const { revision } = await other.register({ ...calculator, ready: false }, lease);
    await waitFor(() => watch.revision === revision, bound(fixture));
    expect(view.records.get("calculator-1")?.ready).toBe(false);
  });
}
