import { describe, expect, test } from "bun:test";
import type { AgentRecord } from "@soorma/core";
import { agentRecord } from "@soorma/core/testing";
import fc from "fast-check";
import { createDirectory, type Directory, type DirectoryEvent } from "./directory.ts";

const lease = 10_000;
const a = agentRecord({ agentId: "a", nodeId: "n1", address: "addr-1" });
const b = agentRecord({ agentId: "b", nodeId: "n1", address: "addr-1" });
const c = agentRecord({ agentId: "c", nodeId: "n2", address: "addr-2", tenant: "acme" });

function withAgents(...records: AgentRecord[]): Directory {
  const directory = createDirectory();
  for (const record of records) directory.register(record, lease, 0);
  return directory;
}

const ids = (directory: Directory): string[] => directory.find({}).map(({ agentId }) => agentId);
const reasons = (events: readonly DirectoryEvent[]): string[] =>
  events.map(({ change }) => (change.kind === "down" ? `${change.agentId} ${change.reason}` : change.kind));

describe("leases", () => {
  test("an agent expires at the end of its lease, not a millisecond before", () => {
    const directory = withAgents(a);
    expect(directory.nextExpiry()).toBe(lease);
    expect(directory.expire(lease - 1)).toEqual([]);
    expect(reasons(directory.expire(lease))).toEqual(["a expired"]);
    expect(ids(directory)).toEqual([]);
    expect(directory.nextExpiry()).toBeUndefined();
  });

  test("a renewal moves the end, with its own length", () => {
    const directory = withAgents(a, c);
    expect(directory.renew(["a", "who"], 500, 9_000)).toEqual({ unknown: ["who"] });
    expect(directory.nextExpiry()).toBe(9_500);
    expect(reasons(directory.expire(9_500))).toEqual(["a expired"]);
    expect(reasons(directory.expire(10_000))).toEqual(["c expired"]);
  });

  test("restored agents get at least the grace, and revisions go on", () => {
    const agents = [
      { record: a, leaseMs: 50 },
      { record: c, leaseMs: 30_000 },
    ];
    const directory = createDirectory({ revision: 41, restored: { agents, now: 1_000, graceMs: lease } });
    expect(directory.revision).toBe(41);
    expect(reasons(directory.expire(10_999))).toEqual([]);
    expect(directory.expire(11_000).map(({ change }) => change.revision)).toEqual([42]);
    expect(ids(directory)).toEqual(["c"]);
  });
});

describe("links", () => {
  test("a silent node's agents do not expire while its link is up", () => {
    const directory = withAgents(a, b, c);
    directory.linkUp("addr-1");
    expect(reasons(directory.expire(lease * 100))).toEqual(["c expired"]);
    expect(directory.nextExpiry()).toBeUndefined();
  });

  test("a node that talks but does not renew an agent for a lease has lost it", () => {
    const directory = withAgents(a, b);
    directory.linkUp("addr-1");
    directory.renew(["a"], lease, 15_000);
    expect(directory.heard("n1", 15_000)).toBe(25_000);
    expect(directory.expire(24_999)).toEqual([]);
    expect(reasons(directory.expire(25_000))).toEqual(["b expired"]);
    expect(ids(directory)).toEqual(["a"]);
  });

  test("a renewal that comes late after all keeps the agent", () => {
    const directory = withAgents(a, b);
    directory.linkUp("addr-1");
    directory.renew(["a"], lease, 15_000);
    directory.heard("n1", 15_000);
    directory.renew(["b"], lease, 15_001);
    expect(directory.expire(25_000)).toEqual([]);
  });

  test("a link that breaks takes all agents behind it at once, and they can come back", () => {
    const directory = withAgents(a, b, c);
    directory.linkUp("addr-1");
    expect(reasons(directory.linkDown("addr-1")).sort()).toEqual(["a crashed", "b crashed"]);
    expect(ids(directory)).toEqual(["c"]);
    expect(directory.renew(["a"], lease, 1).unknown).toEqual(["a"]);
    expect(reasons(directory.register(a, lease, 2).events)).toEqual(["up"]);
    // The new link is not known to be up yet.
    expect(reasons(directory.expire(2 + lease))).toEqual(["c expired", "a expired"]);
  });

  test("a link that never came up says nothing about its agents", () => {
    const directory = withAgents(a);
    expect(directory.linkDown("addr-1")).toEqual([]);
    expect(ids(directory)).toEqual(["a"]);
  });

  test("a changed record keeps what is known of its link", () => {
    const directory = withAgents(a);
    directory.linkUp("addr-1");
    directory.register({ ...a, ready: false }, lease, 1);
    expect(directory.expire(lease * 3)).toEqual([]);
    expect(reasons(directory.linkDown("addr-1"))).toEqual(["a crashed"]);
  });

  test("an agent that moved is not held by its old address", () => {
    const directory = withAgents(a);
    directory.linkUp("addr-1");
    directory.register({ ...a, address: "addr-3" }, lease, 1);
    expect(directory.hasAddress("addr-1")).toBe(false);
    expect(directory.linkDown("addr-1")).toEqual([]);
    expect(reasons(directory.expire(1 + lease))).toEqual(["a expired"]);
  });
});

describe("changes", () => {
  test("the same record again is no change", () => {
    const directory = withAgents(a);
    const again = directory.register(structuredClone(a), lease, 5_000);
    expect(again).toEqual({ revision: 1, events: [] });
    expect(directory.nextExpiry()).toBe(15_000);
  });

  test("an agent that changes its tenant leaves the old one", () => {
    const directory = withAgents(a);
    const { events } = directory.register({ ...a, tenant: "acme" }, lease, 1);
    expect(events.map(({ change, tenant }) => [change.kind, change.revision, tenant])).toEqual([
      ["down", 2, "default"],
      ["up", 3, "acme"],
    ]);
  });

  test("a deregistered agent left; nobody unknown does", () => {
    const directory = withAgents(a, b);
    expect(reasons(directory.deregister(["a", "who", "a"]))).toEqual(["a left"]);
  });
});

type Step =
  | {
      readonly do: "register";
      readonly id: number;
      readonly at: number;
      readonly leaseMs: number;
      readonly pid: number;
    }
  | { readonly do: "renew" | "deregister"; readonly ids: readonly number[]; readonly leaseMs: number }
  | { readonly do: "linkUp" | "linkDown" | "heard"; readonly at: number }
  | { readonly do: "pass"; readonly ms: number };

const id = fc.integer({ min: 0, max: 4 });
const at = fc.integer({ min: 0, max: 2 });
const leaseMs = fc.integer({ min: 50, max: 500 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("register" as const), id, at, leaseMs, pid: fc.integer({ min: 0, max: 1 }) }),
  fc.record({
    do: fc.constantFrom("renew" as const, "deregister" as const),
    ids: fc.array(id, { maxLength: 3 }),
    leaseMs,
  }),
  fc.record({ do: fc.constantFrom("linkUp" as const, "linkDown" as const, "heard" as const), at }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 400 }) }),
);

test("whatever happens, the changes tell exactly who is there, and nobody vanishes within the lease for no reason", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const directory = createDirectory({ revision: 7 });
      const told = new Map<string, AgentRecord>();
      /** Until when an agent has to be there, and where it listens. */
      const leased = new Map<string, { until: number; address: string }>();
      const everUp = new Set<string>();
      let now = 0;
      let revision = 7;
      const take = (events: readonly DirectoryEvent[]): void => {
        for (const { change } of events) {
          expect(change.revision).toBe(++revision);
          if (change.kind === "down") {
            expect(told.delete(change.agentId)).toBe(true);
            const { until } = leased.get(change.agentId) ?? { until: 0 };
            if (change.reason === "expired") expect(until).toBeLessThanOrEqual(now);
            leased.delete(change.agentId);
          } else {
            expect(told.has(change.record.agentId)).toBe(change.kind === "changed");
            told.set(change.record.agentId, change.record);
          }
        }
      };
      for (const one of steps) {
        if (one.do === "register") {
          const record = agentRecord({
            agentId: `a${one.id}`,
            nodeId: `n${one.at}`,
            address: `x${one.at}`,
            pid: one.pid,
          });
          take(directory.register(record, one.leaseMs, now).events);
          leased.set(record.agentId, { until: now + one.leaseMs, address: record.address });
        } else if (one.do === "renew") {
          const agentIds = one.ids.map((n) => `a${n}`);
          const { unknown } = directory.renew(agentIds, one.leaseMs, now);
          expect(unknown).toEqual(agentIds.filter((agentId) => !told.has(agentId)));
          for (const agentId of agentIds) {
            const known = leased.get(agentId);
            if (known) leased.set(agentId, { ...known, until: now + one.leaseMs });
          }
        } else if (one.do === "deregister") {
          take(directory.deregister(one.ids.map((n) => `a${n}`)));
        } else if (one.do === "linkUp") {
          directory.linkUp(`x${one.at}`);
          everUp.add(`x${one.at}`);
        } else if (one.do === "linkDown") {
          take(directory.linkDown(`x${one.at}`));
        } else if (one.do === "heard") {
          directory.heard(`n${one.at}`, now);
        } else if (one.do === "pass") {
          now += one.ms;
          take(directory.expire(now));
          for (const { until, address } of leased.values())
            if (!everUp.has(address)) expect(until).toBeGreaterThan(now);
          const next = directory.nextExpiry();
          if (next !== undefined) expect(next).toBeGreaterThan(now);
        }
        expect(directory.find({}).map(({ agentId }) => agentId)).toEqual([...told.keys()].sort());
        expect(directory.revision).toBe(revision);
        expect([...leased.keys()].sort()).toEqual([...told.keys()].sort());
        expect(directory.size).toBe(told.size);
      }
    }),
    { numRuns: 500 },
  );
}, 60_000);
