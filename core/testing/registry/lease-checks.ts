import { expect } from "bun:test";
import { isSoormaError } from "../../src/errors.ts";
import { agentRecord } from "../records.ts";
import { waitFor } from "../wait-for.ts";
import {
  bound,
  calculator,
  everybody,
  lease,
  planner,
  type RegistryCheck,
  researcher,
  shortLeaseMs,
} from "./shared.ts";

/** The part of the registry contract that is about who is in it and for how long. */
export function leaseChecks(check: RegistryCheck): void {
  check("registering a changed record replaces it under a higher revision", async (registry) => {
    const first = await registry.register(planner, lease);
    const second = await registry.register({ ...planner, ready: true }, lease);
    expect(second.revision).toBeGreaterThan(first.revision);
    expect(await registry.find({})).toEqual([{ ...planner, ready: true }]);
  });

  check("registering the same record again changes no revision", async (registry) => {
    const first = await registry.register(researcher, lease);
    const second = await registry.register(structuredClone(researcher), lease);
    expect(second.revision).toBe(first.revision);
  });

  check("a deregistered agent is gone, and nobody else", async (registry) => {
    for (const record of everybody) await registry.register(record, lease);
    await registry.deregister(["researcher-1", "planner-1"]);
    expect((await registry.find({})).map(({ agentId }) => agentId)).toEqual(["calculator-1", "a-researcher-2"]);
  });

  check("deregistering an agent nobody knows does nothing", async (registry) => {
    await registry.register(planner, lease);
    await registry.deregister(["who-1"]);
    await registry.deregister([]);
    expect(await registry.find({})).toEqual([planner]);
  });

  check("renewing names exactly the agents that are not known", async (registry) => {
    await registry.register(planner, lease);
    await registry.register(calculator, lease);
    await registry.deregister(["calculator-1"]);
    const { unknown } = await registry.renew(["who-1", "planner-1", "calculator-1"], lease);
    expect([...unknown].sort()).toEqual(["calculator-1", "who-1"]);
    expect(await registry.renew(["planner-1"], lease)).toEqual({ unknown: [] });
  });

  check(
    "an agent that is not renewed is gone when its lease is over, not before, and is unknown then",
    async (registry, fixture) => {
      await registry.register(planner, lease);
      const startMs = performance.now();
      await registry.register(calculator, { leaseMs: shortLeaseMs });
      await waitFor(async () => (await registry.find({ agentId: "calculator-1" })).length === 0, bound(fixture));
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(shortLeaseMs * 0.95);
      expect(await registry.renew(["calculator-1", "planner-1"], lease)).toEqual({ unknown: ["calculator-1"] });
      expect(await registry.find({})).toEqual([planner]);
    },
    "leases",
  );

  check(
    "an agent that is renewed outlives its lease",
    async (registry) => {
      const short = { leaseMs: shortLeaseMs };
      await registry.register(calculator, short);
      let startMs = performance.now();
      let renewedMs = startMs;
      while (performance.now() - startMs < shortLeaseMs * 1.6) {
        const found = await registry.find({});
        const { unknown } = await registry.renew(["calculator-1"], short);
        const gapMs = performance.now() - renewedMs;
        renewedMs = performance.now();
        if (gapMs > shortLeaseMs / 2) {
          // This machine was too slow to renew in time; that says nothing about the registry.
          await registry.register(calculator, short);
          startMs = renewedMs = performance.now();
        } else expect({ found, unknown }).toEqual({ found: [calculator], unknown: [] });
        // The pace of a node that renews; nothing is waited for.
        await Bun.sleep(shortLeaseMs / 20);
      }
    },
    "leases",
  );

  check(
    "registering the same record again renews its lease",
    async (registry, fixture) => {
      await registry.register(calculator, { leaseMs: shortLeaseMs });
      await registry.register(calculator, lease);
      const witness = agentRecord({ agentId: "witness-1" });
      await registry.register(witness, { leaseMs: shortLeaseMs });
      await waitFor(async () => (await registry.find({ agentId: "witness-1" })).length === 0, bound(fixture));
      expect(await registry.find({})).toEqual([calculator]);
    },
    "leases",
  );

  check("a record with a wrong field is refused with the path of the field", async (registry) => {
    const wrong = { ...researcher, tasks: [{ name: "ok" }, { name: "" }] };
    const error = await registry.register(wrong, lease).catch((thrown: unknown) => thrown);
    expect(isSoormaError(error, "REGISTRY_REFUSED") && error.message).toContain("tasks[1].name");
    expect(await registry.find({})).toEqual([]);
  });

  check("an aborted registration rejects with the reason of its signal", async (registry) => {
    const reason = new Error("enough");
    const attempt = registry.register(planner, { ...lease, signal: AbortSignal.abort(reason) });
    expect(await attempt.catch((thrown: unknown) => thrown)).toBe(reason);
  });
}
