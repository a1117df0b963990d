import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSoormaError, type SoormaError } from "@soorma/core/errors";
import { type LoadOptions, loadConfig } from "./config.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soorma-config-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function load(code: string | undefined, options: LoadOptions = {}) {
  if (code !== undefined) writeFileSync(join(root, "soorma.config.ts"), code);
  return await loadConfig(root, options);
}

async function failureOf(code: string, options: LoadOptions = {}): Promise<SoormaError> {
  const error: unknown = await load(code, options).catch((thrown: unknown) => thrown);
  if (!isSoormaError(error, "CONFIG_INVALID")) throw new Error(`not refused: ${Bun.inspect(error)}`);
  return error;
}

test("a project without a configuration has the defaults, and says so", async () => {
  const { settings, origins, file } = await load(undefined);
  expect(settings).toEqual({
    mesh: {
      tenantId: "default",
      leaseMs: 10_000,
      renewMs: 3_000,
      maxMessageBytes: 16_777_216,
      dataFolder: ".soorma/data",
    },
    plugins: { transport: { name: "zeromq", options: {} }, registry: { name: "broker", options: {} } },
    memory: { sweepMs: 1_000 },
    tracker: { cacheBytes: 268_435_456 },
    dev: { drainMs: 10_000, readyMs: 10_000, restartMs: 500, types: true },
  });
  expect(new Set([...origins.values()].map(({ kind }) => kind))).toEqual(new Set(["default"]));
  expect(file).toBeUndefined();
});

test("a saved configuration is read anew", async () => {
  expect((await load(`export default { dev: { drainMs: 1 } };`)).settings.dev.drainMs).toBe(1);
  const { settings } = await load(`export default { agents: { a: "a.ts", b: { entry: "b.ts", instances: 2 } } };`);
  expect(settings.agents).toEqual({ a: { entry: "a.ts" }, b: { entry: "b.ts", instances: 2 } });
  expect(settings.dev.drainMs).toBe(10_000);
});

test("a configuration that throws is shown with file and line", async () => {
  const error = await failureOf(`const x = 1;\n\nthrow new Error("no luck");`);
  expect(error.message).toContain("no luck");
  expect(error.message).toMatch(/soorma\.config\.ts.*:3:/);
});

test("a syntax error in it is shown with file and line", async () => {
  const error = await failureOf("export default {\n  a: 1\n  b: 2 };");
  expect(error.message).toMatch(/soorma\.config\.ts:3:3/);
});

test("a configuration without a default export is refused", async () => {
  expect((await failureOf("export const config = {};")).message).toContain("default export");
});

test("a wrong key is shown with its line, its path and the right one", async () => {
  const error = await failureOf(`export default {\n  mesh: {\n    laeseMs: 1,\n  },\n};`);
  expect(error.message).toBe("soorma.config.ts:3: mesh.laeseMs is not known here");
  expect(error.hint).toBe('did you mean "leaseMs"?');
  expect(error.details).toEqual({ path: "mesh.laeseMs", line: 3 });
});

const layered = `
export default {
  mesh: { leaseMs: 20_000 },
  dev: { drainMs: 1_000, port: 7700 },
  agents: { search: { entry: "search.ts", env: { A: "1", B: "1" } } },
  environments: {
    test: {
      dev: { drainMs: 50 },
      agents: { search: { instances: 3, env: { B: "2" } }, extra: "extra.ts" },
    },
  },
};`;

test("an environment is laid over the rest key by key, and every value knows its line", async () => {
  const { settings, origins } = await load(layered, { environment: "test" });
  expect(settings.environment).toBe("test");
  expect(settings.dev).toEqual({ drainMs: 50, port: 7700, readyMs: 10_000, restartMs: 500, types: true });
  expect(settings.agents).toEqual({
    search: { entry: "search.ts", instances: 3, env: { A: "1", B: "2" } },
    extra: { entry: "extra.ts" },
  });
  expect(Object.fromEntries(origins)).toMatchObject({
    "mesh.leaseMs": { kind: "file", line: 3 },
    "mesh.renewMs": { kind: "default" },
    "dev.port": { kind: "file", line: 4 },
    "dev.drainMs": { kind: "environment", name: "test", line: 8 },
    "agents.search.entry": { kind: "file", line: 5 },
    "agents.search.instances": { kind: "environment", name: "test", line: 9 },
    "agents.search.env.A": { kind: "file", line: 5 },
    "agents.search.env.B": { kind: "environment", name: "test", line: 9 },
    "agents.extra.entry": { kind: "environment", name: "test", line: 9 },
  });
});

test("SOORMA_ENV chooses the environment, and --env goes before it", async () => {
  const env = { SOORMA_ENV: "test" };
  expect((await load(layered, { env })).settings.dev.drainMs).toBe(50);
  const error = await failureOf(layered, { env, environment: "tset" });
  expect(error.message).toBe('--env asks for the environment "tset", which there is not');
  expect(error.hint).toBe('did you mean "test"?');
  expect((await failureOf("export default {};", { env })).hint).toBe("soorma.config.ts has no environments");
});

test("variables go before the environment, flags before variables", async () => {
  const env = {
    SOORMA_DEV_DRAIN_MS: "70",
    SOORMA_DEV_PORT: "7701",
    SOORMA_DEV_TYPES: "false",
    SOORMA_MESH_TENANT_ID: "acme",
  };
  const flags = [{ path: "dev.port", flag: "--port", value: 7702 }] as const;
  const { settings, origins } = await load(layered, { environment: "test", env, flags });
  expect(settings.dev).toMatchObject({ drainMs: 70, port: 7702, types: false });
  expect(settings.mesh.tenantId).toBe("acme");
  expect(origins.get("dev.drainMs")).toEqual({ kind: "variable", name: "SOORMA_DEV_DRAIN_MS" });
  expect(origins.get("dev.port")).toEqual({ kind: "flag", name: "--port" });
});

test("a variable that is no value of its setting is named", async () => {
  const error = await failureOf("export default {};", { env: { SOORMA_DEV_DRAIN_MS: "1s" } });
  expect(error.message).toBe(
    'the variable SOORMA_DEV_DRAIN_MS, for dev.drainMs, has to be a whole number from 0 to 3600000, not "1s"',
  );
  const types = await failureOf("export default {};", { env: { SOORMA_DEV_TYPES: "no" } });
  expect(types.message).toContain('has to be true or false, not "no"');
  const tenant = await failureOf("export default {};", { env: { SOORMA_MESH_TENANT_ID: "a b" } });
  expect(tenant.message).toContain("SOORMA_MESH_TENANT_ID, for mesh.tenantId, has to match");
  const json = await failureOf("export default {};", { env: { SOORMA_PLUGINS_TRANSPORT_OPTIONS: "[]" } });
  expect(json.message).toBe("the variable SOORMA_PLUGINS_TRANSPORT_OPTIONS is no JSON object");
});

test("address and port say the same: the nearer one wins, side by side they are refused", async () => {
  const code = `export default { mesh: { address: "tcp://127.0.0.1:1" } };`;
  const flags = [{ path: "dev.port", flag: "--port", value: 7702 }] as const;
  const { settings } = await load(code, { flags });
  expect([settings.mesh.address, settings.dev.port]).toEqual([undefined, 7702]);
  const both = await failureOf(`export default { mesh: { address: "tcp://127.0.0.1:1" }, dev: { port: 1 } };`);
  expect(both.message).toContain("mesh.address and dev.port both say");
});

test("a lease that ends before it is renewed is refused", async () => {
  const error = await failureOf(`export default { mesh: { leaseMs: 2_000 } };`);
  expect(error.message).toContain("a lease of 2000 ms (mesh.leaseMs) would end before it is renewed after 3000 ms");
});

const plugged = `
export default {
  plugins: {
    transport: {
      options: {
        heartbeatMs: 100,
        hwm: 5,
      },
    },
    registry: "./registry.ts",
  },
  environments: {
    same: { plugins: { transport: { options: { hwm: 9 } } } },
    other: { plugins: { transport: { name: "pigeon", options: { loft: "roof" } } } },
  },
};`;

test("plugins and their options are merged, and another plugin does not get this one's options", async () => {
  const { settings, origins } = await load(plugged, { environment: "same" });
  expect(settings.plugins).toEqual({
    transport: { name: "zeromq", options: { heartbeatMs: 100, hwm: 9 } },
    registry: { name: "./registry.ts", options: {} },
  });
  expect(origins.get("plugins.transport.options.heartbeatMs")).toEqual({ kind: "file", line: 6 });
  expect(origins.get("plugins.registry.name")).toEqual({ kind: "file", line: 10 });
  const other = await load(plugged, { environment: "other" });
  expect(other.settings.plugins.transport).toEqual({ name: "pigeon", options: { loft: "roof" } });
  expect(other.origins.has("plugins.transport.options.hwm")).toBe(false);
  const env = { SOORMA_PLUGINS_TRANSPORT: "nats", SOORMA_PLUGINS_TRANSPORT_OPTIONS: '{"url":"x"}' };
  const variables = await load(plugged, { env });
  expect(variables.settings.plugins.transport).toEqual({ name: "nats", options: { url: "x" } });
});

test("an agent that only an environment names needs a file", async () => {
  const error = await failureOf(
    `export default { agents: { search: "a.ts" }, environments: { test: { agents: { serach: { instances: 2 } } } } };`,
    { environment: "test" },
  );
  expect(error.message).toContain("agents.serach.entry is missing");
  expect(error.hint).toContain('did you mean "search"?');
});
