import { expect } from "bun:test";
import type { SchemaRecord } from "../../src/registry/records.ts";
import { codeOf } from "../code-of.ts";
import type { RegistryCheck } from "./shared.ts";

const schema = (version: string, name = "paper"): SchemaRecord => ({
  name,
  version,
  schema: { type: "object", properties: { title: { type: "string", minLength: version.length } }, required: ["title"] },
});

/** The part of the registry contract that is about schema versions. */
export function schemaChecks(check: RegistryCheck): void {
  check(
    "a schema version is read as it was stored",
    async (registry) => {
      const stored = { ...schema("1.0.0"), description: "A paper — with ümlauts" };
      await registry.putSchema(stored);
      expect(await registry.getSchema("paper", "1.0.0")).toEqual(stored);
      expect(await registry.querySchemas({})).toEqual([stored]);
    },
    "schemas",
  );

  check(
    "the latest schema is the highest version that is no prerelease, whatever came last",
    async (registry) => {
      for (const version of ["1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"]) await registry.putSchema(schema(version));
      expect((await registry.getSchema("paper"))?.version).toBe("1.10.0");
      expect((await registry.getSchema("paper", "latest"))?.version).toBe("1.10.0");
    },
    "schemas",
  );

  check(
    "a range means the highest version in it",
    async (registry) => {
      for (const version of ["1.0.0", "1.4.2", "1.10.0", "2.0.0", "3.0.0-rc.1"])
        await registry.putSchema(schema(version));
      expect((await registry.getSchema("paper", "^1.0.0"))?.version).toBe("1.10.0");
      expect((await registry.getSchema("paper", "~1.4.0"))?.version).toBe("1.4.2");
      expect((await registry.getSchema("paper", ">=3.0.0-rc.0"))?.version).toBe("3.0.0-rc.1");
      expect(await registry.getSchema("paper", "^4.0.0")).toBeUndefined();
    },
    "schemas",
  );

  check(
    "a schema or version that was never stored is undefined",
    async (registry) => {
      await registry.putSchema(schema("1.0.0-beta.1"));
      expect(await registry.getSchema("pape")).toBeUndefined();
      expect(await registry.getSchema("paper", "1.0.0")).toBeUndefined();
      expect(await registry.getSchema("paper", "latest")).toBeUndefined();
      expect(await registry.querySchemas({ name: "pape" })).toEqual([]);
    },
    "schemas",
  );

  check(
    "schemas are listed by name, then from the lowest version, and narrowed by both",
    async (registry) => {
      for (const version of ["1.10.0", "1.9.0", "2.0.0"]) await registry.putSchema(schema(version));
      await registry.putSchema(schema("1.0.0", "author"));
      const list = async (query: { name?: string; version?: string }): Promise<string[]> =>
        (await registry.querySchemas(query)).map(({ name, version }) => `${name}@${version}`);
      expect(await list({})).toEqual(["author@1.0.0", "paper@1.9.0", "paper@1.10.0", "paper@2.0.0"]);
      expect(await list({ name: "paper" })).toEqual(["paper@1.9.0", "paper@1.10.0", "paper@2.0.0"]);
      expect(await list({ version: "latest" })).toEqual(["author@1.0.0", "paper@2.0.0"]);
      expect(await list({ version: "^1.0.0" })).toEqual(["author@1.0.0", "paper@1.9.0", "paper@1.10.0"]);
      expect(await list({ name: "paper", version: "1.9.0" })).toEqual(["paper@1.9.0"]);
    },
    "schemas",
  );

  check(
    "the same content again is fine, in whatever order its keys are",
    async (registry) => {
      await registry.putSchema({ ...schema("1.0.0"), schema: { type: "object", properties: { a: {}, b: {} } } });
      await registry.putSchema({ ...schema("1.0.0"), schema: { properties: { b: {}, a: {} }, type: "object" } });
      expect(await registry.querySchemas({})).toHaveLength(1);
    },
    "schemas",
  );

  check(
    "a version is immutable",
    async (registry) => {
      await registry.putSchema(schema("1.0.0"));
      expect(await codeOf(registry.putSchema({ ...schema("1.0.0"), schema: { type: "string" } }))).toBe(
        "SCHEMA_CONFLICT",
      );
      expect(await registry.getSchema("paper", "1.0.0")).toEqual(schema("1.0.0"));
    },
    "schemas",
  );

  for (const version of ["banana", "v1.0.0", "1.0", "01.0.0", " 1.0.0", ""]) {
    check(
      `${JSON.stringify(version)} is no version and is refused`,
      async (registry) => {
        expect(await codeOf(registry.putSchema(schema(version)))).toBe("SCHEMA_INVALID");
        expect(await registry.querySchemas({})).toEqual([]);
      },
      "schemas",
    );
  }

  check(
    "a bad name, and what is no JSON Schema, are refused",
    async (registry) => {
      expect(await codeOf(registry.putSchema(schema("1.0.0", "")))).toBe("SCHEMA_INVALID");
      expect(await codeOf(registry.putSchema(schema("1.0.0", "a b")))).toBe("SCHEMA_INVALID");
      const wrong = { ...schema("1.0.0"), schema: { type: "object", properties: { a: { type: "strnig" } } } };
      expect(await codeOf(registry.putSchema(wrong))).toBe("SCHEMA_INVALID");
      expect(await codeOf(registry.getSchema("paper", "banana"))).toBe("SCHEMA_INVALID");
    },
    "schemas",
  );

  check(
    "during an outage a schema is not missing but unavailable",
    async (registry, fixture) => {
      await registry.putSchema(schema("1.0.0"));
      await fixture.outage();
      const codes = await Promise.all([
        codeOf(registry.getSchema("paper")),
        codeOf(registry.querySchemas({})),
        codeOf(registry.putSchema(schema("2.0.0"))),
      ]);
      expect(codes).toEqual(["REGISTRY_UNAVAILABLE", "REGISTRY_UNAVAILABLE", "REGISTRY_UNAVAILABLE"]);
      await fixture.restore();
    },
    "schemas",
  );
}
