import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSoormaError, type SoormaError } from "@soorma/core/errors";
import type { Config } from "../config/define.ts";
import { type Flag, resolveConfig } from "../config/resolve.ts";
import { type MeshPlugins, meshPlugins } from "./mesh-plugins.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soorma-plugins-"));
  mkdirSync(join(root, "node_modules/@soorma"), { recursive: true });
  const plugins = join(import.meta.dir, "..", "..", "..", "plugins");
  symlinkSync(join(plugins, "transport-inproc"), join(root, "node_modules/@soorma/transport-inproc"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function pluginsOf(config: Config, flags: readonly Flag[] = []): Promise<MeshPlugins> {
  const loaded = resolveConfig({ config, env: {}, flags, lines: new Map([["mesh.address", 7]]) });
  return await meshPlugins({ root, socketFolder: "/tmp/s" }, loaded);
}

async function failureOf(config: Config): Promise<SoormaError> {
  const error: unknown = await pluginsOf(config).catch((thrown: unknown) => thrown);
  if (!isSoormaError(error)) throw new Error(`not refused: ${Bun.inspect(error)}`);
  return error;
}

/** A module whose default export passes for a plugin. */
function stranger(kind: string, name: string, supports: object): string {
  const path = `./${kind}-${name}.ts`;
  const options = { type: "object", properties: { url: { type: "string" } }, required: ["url"] };
  const plugin = { kind, name, api: 1, supports, options };
  writeFileSync(join(root, path), `export default { ...${JSON.stringify(plugin)}, create() {} };`);
  return path;
}

test("the defaults get the sockets of the project", async () => {
  expect(await pluginsOf({})).toEqual({
    transport: { name: "zeromq", options: { dir: "/tmp/s" } },
    registry: { name: "broker", options: { address: "ipc:///tmp/s/broker" } },
    listen: "ipc:///tmp/s/broker",
  });
  const port = await pluginsOf({ plugins: { transport: { options: { hwm: 5 } } } }, [
    { path: "dev.port", flag: "--port", value: 7700 },
  ]);
  expect(port.listen).toBe("tcp://127.0.0.1:7700");
  expect(port.registry.options).toEqual({ address: "tcp://127.0.0.1:7700" });
  expect(port.transport.options).toEqual({ dir: "/tmp/s", hwm: 5 });
});

test("the default under another name is the default", async () => {
  const { transport } = await pluginsOf({ plugins: { transport: "@soorma/transport-zeromq" } });
  expect(transport).toEqual({ name: "@soorma/transport-zeromq", options: { dir: "/tmp/s" } });
});

test("another registry needs no broker, and no address", async () => {
  const registry = { name: stranger("registry", "ledger", {}), options: { url: "x" } };
  const plugins = await pluginsOf({ plugins: { registry } });
  expect(plugins.listen).toBeUndefined();
  expect(plugins.registry).toEqual(registry);
  const error = await failureOf({ plugins: { registry }, mesh: { address: "tcp://127.0.0.1:1" } });
  expect(error.message).toBe(
    'soorma.config.ts:7: mesh.address says where a broker listens, and the registry "ledger" needs none',
  );
});

test("another transport has to be told where the broker listens, in its own form", async () => {
  const transport = { name: stranger("transport", "pigeon", { interprocess: true }), options: { url: "x" } };
  const error = await failureOf({ plugins: { transport } });
  expect(error.message).toContain('mesh.address is missing: the transport "pigeon" does not say where');
  const plugins = await pluginsOf({ plugins: { transport }, mesh: { address: "pigeon:loft" } });
  expect(plugins).toMatchObject({
    transport,
    listen: "pigeon:loft",
    registry: { options: { address: "pigeon:loft" } },
  });
});

test.each([
  [{ transport: { options: { hwmm: 1 } } }, "plugins.transport.options.hwmm", 'did you mean "hwm"?'],
  [{ transport: { options: { security: "tls" } } }, "plugins.transport.options.security", 'must be "none" or "curve"'],
  [{ registry: { options: { checkMs: "1" } } }, "plugins.registry.options.checkMs", "must be integer"],
  [{ registry: { options: { address: "x" } } }, "plugins.registry.options.address", "is what mesh.address says"],
  [{ transport: "inproc" }, "plugins.transport.name", "does not reach other processes"],
])("what a plugin does not take is refused with its path: %j", async (plugins, path, message) => {
  const error = await failureOf({ plugins, mesh: { address: "tcp://127.0.0.1:7700" } });
  expect(error).toMatchObject({ code: "CONFIG_INVALID", details: { path } });
  expect(error.message).toContain(`${path} `);
  expect(error.message).toContain(message);
});

test("a plugin there is not is told with where it was looked for", async () => {
  const error = await failureOf({ plugins: { registry: "reddis" } });
  expect(error.code).toBe("PLUGIN_NOT_FOUND");
  expect(error.message).toContain("plugins.registry.name");
  expect(error.hint).toContain("bun add @soorma/registry-reddis");
});
