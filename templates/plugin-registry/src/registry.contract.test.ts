import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RegistryBackend, type RegistryDeps, silentLogger, systemRuntime } from "@soorma/core";
import { registryContract } from "@soorma/core/testing";
import plugin from "./index.ts";

const pollMs = 20;
// This registry is no node of the mesh itself, so it makes no calls.
const rpc = {} as RegistryDeps["rpc"];

registryContract(plugin, async () => {
  const folder = mkdtempSync(join(tmpdir(), "registry-"));
  const file = join(folder, "registry.sqlite");
  const clients: RegistryBackend[] = [];
  let lock: Database | undefined;
  return {
    async connect() {
      const client = await plugin.create(
        { file, timeoutMs: 200, pollMs },
        { log: silentLogger, runtime: systemRuntime, rpc },
      );
      clients.push(client);
      return client;
    },
    /** Somebody keeps the file to himself, for longer than it takes to notice. */
    async outage() {
      lock = new Database(file);
      lock.run("BEGIN EXCLUSIVE");
      await Bun.sleep(3 * pollMs);
    },
    async restore() {
      lock?.run("COMMIT");
      lock?.close();
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client.close();
      rmSync(folder, { recursive: true });
    },
  };
});

test("opening waits for whoever has the file to himself", async () => {
  const folder = mkdtempSync(join(tmpdir(), "registry-"));
  const file = join(folder, "registry.sqlite");
  const lock = new Database(file);
  lock.run("BEGIN EXCLUSIVE");
  const opened = plugin.create({ file, timeoutMs: 5_000, pollMs }, { log: silentLogger, runtime: systemRuntime, rpc });
  lock.run("COMMIT");
  lock.close();
  const registry = await opened;
  expect(await registry.find({})).toEqual([]);
  await registry.close();
  rmSync(folder, { recursive: true });
});
