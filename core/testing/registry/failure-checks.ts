import { expect } from "bun:test";
import type { DirectoryChange } from "../../src/registry/records.ts";
import { codeOf } from "../code-of.ts";
import { calculator, type KnownCheck, lease, planner, type RegistryCheck } from "./shared.ts";

/** The part of the registry contract that is about outages and closing. */
export function failureChecks(check: RegistryCheck, checkKnown: KnownCheck): void {
  checkKnown(
    "during an outage looking for agents is an error, not an empty list",
    [planner],
    async (registry, fixture) => {
      expect(await registry.find({})).toEqual([planner]);
      await fixture.outage();
      expect(await codeOf(registry.find({}))).toBe("REGISTRY_UNAVAILABLE");
      expect(await codeOf(registry.find({ name: "planner" }))).toBe("REGISTRY_UNAVAILABLE");
      expect(await codeOf(registry.watch(() => {}))).toBe("REGISTRY_UNAVAILABLE");
      await fixture.restore();
    },
  );

  check("during an outage every change and renewal is an error", async (registry, fixture) => {
    await registry.register(planner, lease);
    await fixture.outage();
    const codes = await Promise.all([
      codeOf(registry.register(calculator, lease)),
      codeOf(registry.renew(["planner-1"], lease)),
      codeOf(registry.deregister(["planner-1"])),
    ]);
    expect(codes).toEqual(["REGISTRY_UNAVAILABLE", "REGISTRY_UNAVAILABLE", "REGISTRY_UNAVAILABLE"]);
    await fixture.restore();
  });

  check("after an outage renewing tells the truth about who is known", async (registry, fixture) => {
    await registry.register(planner, lease);
    await fixture.outage();
    await fixture.restore();
    const { unknown } = await registry.renew(["planner-1", "who-1"], lease);
    const known = (await registry.find({})).map(({ agentId }) => agentId);
    expect(known.includes("planner-1")).toBe(!unknown.includes("planner-1"));
    expect(unknown).toContain("who-1");
  });

  check("closing twice is fine, and every call after it is an error", async (registry, fixture) => {
    const other = await fixture.connect();
    const seen: DirectoryChange[] = [];
    const watch = await registry.watch((change) => void seen.push(change));
    await registry.register(planner, lease);
    await registry.close();
    await registry.close();
    const calls = [
      registry.register(planner, lease),
      registry.renew([], lease),
      registry.deregister([]),
      registry.find({}),
      registry.watch(() => {}),
    ];
    for (const call of calls) expect(await codeOf(call)).toBe("REGISTRY_UNAVAILABLE");
    const before = seen.length;
    await other.register(calculator, lease);
    expect(await other.find({})).toEqual([calculator, planner]);
    expect(seen.length).toBe(before);
    await watch[Symbol.asyncDispose]();
  });
}
