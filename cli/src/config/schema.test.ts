import { expect, test } from "bun:test";
import type { Config } from "./define.ts";
import { configFault } from "./schema.ts";
import { settings } from "./settings.ts";

test.each([
  [{ agent: {} }, "agent", 'did you mean "agents"?'],
  [{ dev: { prot: 1 } }, "dev.prot", 'did you mean "port"?'],
  [{ agents: { a: { entry: "x", instance: 2 } } }, "agents.a.instance", 'did you mean "instances"?'],
  [{ plugins: { transprot: "x" } }, "plugins.transprot", 'did you mean "transport"?'],
  [{ plugins: { registry: { option: {} } } }, "plugins.registry.option", 'did you mean "options"?'],
  [{ environments: { ci: { dve: {} } } }, "environments.ci.dve", 'did you mean "dev"?'],
  [{ environments: { ci: { dev: { drain: 1 } } } }, "environments.ci.dev.drain", 'did you mean "drainMs"?'],
  [{ mesh: { laese: 1 } }, "mesh.laese", 'did you mean "leaseMs"?'],
  [{ leaseMs: 1 }, "leaseMs", 'did you mean "mesh.leaseMs"?'],
  [{ zzzzzzzz: 1 }, "zzzzzzzz", "known are agents, mesh, plugins, memory, tracker, dev, environments"],
  [{ toString: 1 }, "toString", "known are agents, mesh, plugins, memory, tracker, dev, environments"],
])("a misspelt key in %j is named with its path and the nearest right one", (config, path, hint) => {
  expect(configFault(config)).toEqual({ path, message: "is not known here", hint });
});

test.each([
  [{ dev: { port: 99_999 } }, "dev.port", "must be <= 65535, not 99999"],
  [{ mesh: { tenantId: "a b" } }, "mesh.tenantId", expect.stringMatching(/^must match pattern .*, not "a b"$/)],
  [{ dev: { types: "no" } }, "dev.types", 'must be boolean, not "no"'],
  [{ dev: { drainMs: "1s" } }, "dev.drainMs", 'must be integer, not "1s"'],
  [{ agents: { a: { entry: 7 } } }, "agents.a.entry", "must be string, not 7"],
  [{ agents: [] }, "agents", "must be object, not a list"],
  [{ mesh: { dataFolder: "" } }, "mesh.dataFolder", 'must not have fewer than 1 characters, not ""'],
  [
    { environments: { ci: { agents: { a: { instances: 0 } } } } },
    "environments.ci.agents.a.instances",
    "must be >= 1, not 0",
  ],
  [7, "(the whole)", "must be object, not 7"],
])("a wrong value in %j is named with its path", (config, path, message) => {
  expect(configFault(config)).toEqual({ path, message });
});

test.each([
  [{ agents: { broker: "x.ts" } }, "agents.broker"],
  [{ agents: { "../x": "x.ts" } }, "agents.../x"],
  [{ environments: { ci: { agents: { "a b": "x.ts" } } } }, "environments.ci.agents.a b"],
])("an agent cannot be called as in %j", (config, path) => {
  expect(configFault(config)?.path).toBe(path);
});

test.each([
  [{ plugins: { transport: { options: { hub: new Map() } } } }, "plugins.transport.options.hub", "object of a class"],
  [{ plugins: { registry: { options: { a: [1, () => 2] } } } }, "plugins.registry.options.a.1", "is a function"],
  [{ plugins: { registry: { options: { a: Number.NaN } } } }, "plugins.registry.options.a", "is NaN"],
])("options that cannot go to other processes are refused", (config, path, message) => {
  expect(configFault(config)).toMatchObject({ path, message: expect.stringContaining(message) });
});

/** One of everything: the type says what may be written, the schema and the table what is taken. */
const all = {
  agents: { a: "a.ts", b: { entry: "b.ts", instances: 2, env: { X: "1" } } },
  mesh: {
    address: "tcp://127.0.0.1:7700",
    tenantId: "acme",
    leaseMs: 10_000,
    renewMs: 3_000,
    maxMessageBytes: 1_000_000,
    dataFolder: "data",
    dataLimitBytes: 100_000_000,
  },
  plugins: { transport: "nats", registry: { name: "nats", options: { url: "x" } } },
  memory: { sweepMs: 1_000 },
  tracker: { cacheBytes: 1 },
  dev: { port: 1, drainMs: 0, readyMs: 1_000, restartMs: 100, types: false },
  environments: { ci: { agents: { b: { instances: 1 } }, dev: { port: 2 } } },
} satisfies Complete;

type Complete = {
  readonly [K in keyof Required<Config>]: K extends "mesh" | "memory" | "tracker" | "dev" | "plugins"
    ? Required<NonNullable<Config[K]>>
    : NonNullable<Config[K]>;
};

test("all that the type allows is taken", () => {
  expect(configFault(all)).toBeUndefined();
  expect(configFault({})).toBeUndefined();
});

test("the table of settings has what the type has", () => {
  const paths = (["mesh", "memory", "tracker", "dev"] as const).flatMap((name) =>
    Object.keys(all[name]).map((key) => `${name}.${key}`),
  );
  expect(settings.map(({ path }) => path as string).sort()).toEqual(paths.sort());
});
