import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { PluginKind } from "@soorma/core";
import { createPluginLoader, listPlugins } from "@soorma/core/plugins";

const folder = join(import.meta.dir, "..", "plugins");
const folders = readdirSync(folder);

test("there are plugins", () => {
  expect(folders.length).toBeGreaterThan(2);
});

for (const name of folders) {
  test(`${name}: folder, package.json and definition agree on kind, name and interface`, async () => {
    const dir = join(folder, name);
    const manifest = await Bun.file(join(dir, "package.json")).json();
    expect(manifest.name).toBe(`@soorma/${manifest.soorma.kind}-${manifest.soorma.name}`);
    expect(name).toBe(`${manifest.soorma.kind}-${manifest.soorma.name}`);
    const plugin = await createPluginLoader({ from: [folder] }).load(manifest.soorma.kind as PluginKind, dir);
    expect({ kind: plugin.kind, name: plugin.name, api: plugin.api }).toEqual(manifest.soorma);
  });
}

test("the plugins this workspace depends on are found by their short names, and listed without running them", async () => {
  const loader = createPluginLoader({ from: [import.meta.dir] });
  const listed = await listPlugins(import.meta.dir);
  expect(listed.map((plugin) => plugin.package)).toContain("@soorma/transport-inproc");
  for (const { kind, name } of listed) {
    expect((await loader.load(kind as PluginKind, name)).name).toBe(name);
  }
});
