import { describe, expect, test } from "bun:test";
import type { TSchema } from "typebox";
import type { Plugin } from "../src/plugin/plugin.ts";
import type { RegistryBackend, RegistrySupports } from "../src/plugin/registry.ts";
import type { AgentRecord } from "../src/registry/records.ts";
import { failureChecks } from "./registry/failure-checks.ts";
import { findChecks } from "./registry/find-checks.ts";
import { leaseChecks } from "./registry/lease-checks.ts";
import { schemaChecks } from "./registry/schema-checks.ts";
import { lease, type RegistryCheck, type RegistryFixture } from "./registry/shared.ts";
import { watchChecks } from "./registry/watch-checks.ts";

export type { RegistryFixture } from "./registry/shared.ts";

/**
 * Declares the tests that every registry adapter passes. Call it at the top level of a test file.
 *
 * Tests are skipped only by what the plugin `supports`.
 *
 * @param make - A registry that knows just `seed` (nobody, except for registries that cannot be written). Its clients
 * should give up within about a second during an outage.
 * @param gaps - Titles of tests the adapter is known to fail, each with the reason; a gap that passes is an error.
 */
export function registryContract<O extends TSchema>(
  plugin: Plugin<"registry", O>,
  make: (seed: readonly AgentRecord[]) => Promise<RegistryFixture>,
  gaps: Readonly<Record<string, string>> = {},
): void {
  const titles = new Set<string>();
  const declare = (title: string, run: () => Promise<void>, needs: readonly (keyof RegistrySupports)[]): void => {
    titles.add(title);
    const missing = needs.find((fact) => !plugin.supports[fact]);
    if (missing) test.skip(`${title} (declares no ${missing})`, run);
    else if (gaps[title]) test.failing(`${title} [gap: ${gaps[title]}]`, run, 30_000);
    else test(title, run, 30_000);
  };
  const check: RegistryCheck = (title, body, needs) =>
    declare(
      title,
      async () => {
        await using fixture = await make([]);
        await body(await fixture.connect(), fixture);
      },
      needs ? ["writable", needs] : ["writable"],
    );
  /** Also for registries that cannot be written: they are made with the records. */
  const checkKnown = (
    title: string,
    records: readonly AgentRecord[],
    body: (registry: RegistryBackend, fixture: RegistryFixture) => Promise<void>,
  ): void =>
    declare(title, async () => {
      await using fixture = await make(plugin.supports.writable ? [] : records);
      const registry = await fixture.connect();
      if (plugin.supports.writable) for (const record of records) await registry.register(record, lease);
      await body(registry, fixture);
    }, []);

  describe(`registry contract: ${plugin.name}`, () => {
    test("the instance supports what the plugin declares", async () => {
      await using fixture = await make([]);
      expect((await fixture.connect()).supports).toEqual(plugin.supports);
    });
    findChecks(checkKnown);
    leaseChecks(check);
    watchChecks(check);
    schemaChecks(check);
    failureChecks(check, checkKnown);
    test("every named gap is a real test", () => {
      expect(Object.keys(gaps).filter((gap) => !titles.has(gap))).toEqual([]);
    });
  });
}
