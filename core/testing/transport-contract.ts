import { describe, expect, test } from "bun:test";
import type { TSchema } from "typebox";
import type { Plugin } from "../src/plugin/plugin.ts";
import type { TransportSupports } from "../src/plugin/transport.ts";
import { directedChecks } from "./transport/directed.ts";
import { eventChecks } from "./transport/events.ts";
import { lifecycleChecks } from "./transport/lifecycle.ts";
import { peerChecks } from "./transport/peers.ts";
import { Rig, type TransportSetup } from "./transport/rig.ts";

export type { TransportSetup } from "./transport/rig.ts";

/** Declares one test of the suite; left out, and counted as skipped, for transports that do not support `needs`. */
export type Check = (title: string, body: (rig: Rig) => Promise<void>, needs?: keyof TransportSupports) => void;

/**
 * Declares the tests that every transport passes. Call it at the top level of a test file.
 *
 * @param plugin - What the transports are made by; its `supports` alone decides what is skipped.
 * @param gaps - Titles of tests the transport is known to fail, each with the reason. They turn red once they pass.
 */
export function transportContract<O extends TSchema>(
  plugin: Plugin<"transport", O>,
  setup: TransportSetup,
  gaps: Readonly<Record<string, string>> = {},
): void {
  const titles = new Set<string>();
  const timeoutMs = 3 * Math.max(10_000, setup.patienceMs ?? 0);
  const check: Check = (title, body, needs) => {
    if (titles.has(title)) throw new Error(`two tests are called "${title}"`);
    titles.add(title);
    const run = async (): Promise<void> => {
      await using rig = new Rig(setup);
      await body(rig);
    };
    if (needs && !plugin.supports[needs]) test.skip(`${title} (declares no ${needs})`, run);
    else if (gaps[title]) test.failing(`${title} [gap: ${gaps[title]}]`, run, timeoutMs);
    else test(title, run, timeoutMs);
  };

  describe(`transport contract: ${plugin.name}`, () => {
    check("a transport supports what its plugin says", async (rig) => {
      expect([plugin.kind, plugin.api]).toEqual(["transport", 1]);
      const { supports } = await rig.make();
      expect(supports).toEqual(plugin.supports);
      expect(supports.security.length).toBeGreaterThan(0);
    });
    directedChecks(check);
    eventChecks(check);
    peerChecks(check);
    lifecycleChecks(check);

    test("every named gap is a test of this suite", () => {
      expect(Object.keys(gaps).filter((title) => !titles.has(title))).toEqual([]);
    });
  });
}
