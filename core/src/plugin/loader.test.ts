import { afterAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Type } from "typebox";
import { isSoormaError, type SoormaError } from "../errors.ts";
import { createPluginLoader } from "./loader.ts";
import { listPlugins } from "./packages.ts";
import { definePlugin } from "./plugin.ts";

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** A project's folder with packages in its node_modules: package name to what its package.json and index.ts hold. */
async function project(packages: Record<string, { manifest?: object; code?: string }> = {}): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "soorma-loader-"));
  folders.push(root);
  for (const [name, { manifest = {}, code = "" }] of Object.entries(packages)) {
    await writePackage(join(root, "node_modules", name), name, manifest, code);
  }
  return root;
}

async function writePackage(dir: string, name: string, manifest: object, code: string): Promise<void> {
  await mkdir(join(dir, "src"), { recursive: true });
  const whole = { name, version: "1.2.3", type: "module", exports: { ".": "./src/main.ts" }, ...manifest };
  await Bun.write(join(dir, "package.json"), JSON.stringify(whole));
  await Bun.write(join(dir, "src", "main.ts"), code);
}

function source(kind: string, name: string, change = ""): string {
  return `const plugin = { kind: "${kind}", name: "${name}", api: 1, supports: {}, options: { type: "object" },
    create: async () => ({}), origin: import.meta.path };
    ${change}
    export default plugin;`;
}

function metadata(kind: string, name: string, api: unknown = 1): { soorma: object } {
  return { soorma: { kind, name, api } };
}

async function refusal(from: string[], kind: "registry" | "transport", name: string): Promise<SoormaError> {
  const error = await createPluginLoader({ from })
    .load(kind, name)
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${String(error)}`);
  return error;
}

const originOf = (plugin: object): string => ("origin" in plugin ? String(plugin.origin) : "nowhere");

describe("createPluginLoader", () => {
  test("a short name is @soorma/<kind>-<name>, and a stranger's soorma-<kind>-<name> is found the same way", async () => {
    const from = await project({
      "@soorma/registry-redis": { manifest: metadata("registry", "redis"), code: source("registry", "redis") },
      "soorma-registry-redis": { manifest: metadata("registry", "redis"), code: source("registry", "redis") },
      "soorma-registry-dns": { manifest: metadata("registry", "dns"), code: source("registry", "dns") },
    });
    const loader = createPluginLoader({ from: [from] });
    expect(originOf(await loader.load("registry", "redis"))).toEndWith(
      "node_modules/@soorma/registry-redis/src/main.ts",
    );
    expect(originOf(await loader.load("registry", "dns"))).toEndWith("node_modules/soorma-registry-dns/src/main.ts");
  });

  test("a package is found in folders above, and in the loader's next folder", async () => {
    const first = await project({
      "soorma-transport-one": { manifest: metadata("transport", "one"), code: source("transport", "one") },
      "soorma-transport-both": { manifest: metadata("transport", "both"), code: source("transport", "both") },
    });
    const second = await project({
      "soorma-transport-two": { manifest: metadata("transport", "two"), code: source("transport", "two") },
      "soorma-transport-both": { manifest: metadata("transport", "both"), code: source("transport", "both") },
    });
    const deep = join(first, "agents", "deep");
    await mkdir(deep, { recursive: true });
    const loader = createPluginLoader({ from: [deep, second] });
    expect(originOf(await loader.load("transport", "one"))).toStartWith(first);
    expect(originOf(await loader.load("transport", "two"))).toStartWith(second);
    expect(originOf(await loader.load("transport", "both"))).toStartWith(first);
  });

  test("a full package name, a file, a folder and a file: URL are loaded as they are", async () => {
    const from = await project({
      "@acme/our-registry": { code: source("registry", "ours") },
      "plain-registry": { manifest: metadata("registry", "plain"), code: source("registry", "plain") },
    });
    await writePackage(join(from, "local", "mine"), "mine", metadata("registry", "mine"), source("registry", "mine"));
    await Bun.write(join(from, "single.ts"), source("registry", "single"));
    const loader = createPluginLoader({ from: [from] });
    const load = async (name: string) => (await loader.load("registry", name)).name;
    expect(await load("@acme/our-registry")).toBe("ours");
    expect(await load("plain-registry")).toBe("plain");
    expect(await load("./local/mine")).toBe("mine");
    expect(await load("./single.ts")).toBe("single");
    expect(await load(join(from, "single.ts"))).toBe("single");
    expect(await load(Bun.pathToFileURL(join(from, "single.ts")).href)).toBe("single");
  });

  test("a package that only happens to have the short name is not run", async () => {
    const from = await project({ redis: { code: "throw new Error('ran');" } });
    expect((await refusal([from], "registry", "redis")).code).toBe("PLUGIN_NOT_FOUND");
  });

  test("a plugin that was made already passes through, if it is one", async () => {
    const loader = createPluginLoader({ from: [] });
    const plugin = definePlugin({
      kind: "transport",
      name: "made",
      api: 1,
      supports: {
        backpressure: false,
        peerEvents: false,
        heartbeats: false,
        interprocess: false,
        joins: false,
        security: ["none"],
      },
      options: Type.Object({}),
      create: () => Promise.reject(new Error("not called")),
    });
    expect(await loader.load("transport", plugin)).toBe(plugin);
    const wrong = { ...plugin, kind: "registry" } as unknown as typeof plugin;
    expect(await loader.load("transport", wrong).catch((error: Error) => error.message)).toBe(
      "cannot load the plugin the value passed: it is a plugin of kind registry, and transport is wanted",
    );
  });

  test("what is not found says what was looked for, from where, how to install it and what is there", async () => {
    const from = await project({
      "soorma-registry-redis": { manifest: metadata("registry", "redis"), code: source("registry", "redis") },
    });
    const other = await project();
    const error = await refusal([from, other], "registry", "rediss");
    expect(error.code).toBe("PLUGIN_NOT_FOUND");
    expect(error.message).toBe(
      `no registry plugin "rediss": looked for @soorma/registry-rediss and soorma-registry-rediss from ${from} and ${other}`,
    );
    expect(error.hint).toBe(
      'Did you mean "redis"? Install it with `bun add @soorma/registry-rediss`, or give the path or the full name of a ' +
        "package. Installed registry plugins: redis.",
    );
    expect(error.details).toEqual({
      kind: "registry",
      name: "rediss",
      looked: ["@soorma/registry-rediss", "soorma-registry-rediss"],
      from: [from, other],
      installed: ["redis"],
    });
    expect((await refusal([from], "registry", "@acme/none")).message).toContain("looked for @acme/none from");
    expect((await refusal([from], "registry", "./none.ts")).message).toContain(join(from, "none.ts"));
  });

  const broken: [what: string, pkg: { manifest?: object; code?: string }, says: string][] = [
    [
      "no default export",
      { code: "export const plugin = 1, other = 2;" },
      "it has no default export, only other, plugin",
    ],
    [
      "a default export that is a number",
      { code: "export default 7;" },
      "its default export is a number, not a plugin",
    ],
    ["an object that is no plugin", { code: "export default {};" }, 'it does not say its "api" version'],
    ["another kind", { code: source("transport", "x") }, "it is a plugin of kind transport, and registry is wanted"],
    ["a newer interface", { code: source("registry", "x", "plugin.api = 2;") }, "it is written for plugin interface 2"],
    ["a bad name", { code: source("registry", "Bad Name") }, 'its "name" is "Bad Name"'],
    ["no options", { code: source("registry", "x", "delete plugin.options;") }, 'its "options" is no object'],
    ["no supports", { code: source("registry", "x", "plugin.supports = null;") }, 'its "supports" is no object'],
    ["no create", { code: source("registry", "x", "plugin.create = 1;") }, 'its "create" is no function'],
    ["a module that throws", { code: "throw new Error('no licence');" }, "failed: no licence"],
    ["a module that imports what is missing", { code: "import 'not-installed-anywhere';" }, "not-installed-anywhere"],
    ["an entry that does not exist", { manifest: { exports: { ".": "./gone.ts" } } }, "cannot be resolved"],
    ["a package.json of another kind", { manifest: metadata("transport", "x") }, "it is a plugin of kind transport"],
    ["a package.json of another interface", { manifest: metadata("registry", "x", 3) }, "plugin interface 3"],
    [
      "a package.json that disagrees on the name",
      { manifest: metadata("registry", "y"), code: source("registry", "x") },
      'its package.json calls the plugin "y", its default export "x"',
    ],
  ];
  for (const [what, pkg, says] of broken) {
    test(`refused with what is wrong with it: ${what}`, async () => {
      const from = await project({ "soorma-registry-bad": pkg });
      const error = await refusal([from], "registry", "bad");
      expect(error.code).toBe("PLUGIN_INVALID");
      expect(error.message).toContain("cannot load the plugin soorma-registry-bad (");
      expect(error.message).toContain(says);
    });
  }
});

describe("listPlugins", () => {
  test("lists what package.json files say, the nearest of a name, and runs nothing", async () => {
    const code = "throw new Error('ran');";
    const from = await project({
      "@soorma/transport-b": { manifest: metadata("transport", "b"), code },
      "@acme/thing": { manifest: metadata("registry", "acme"), code },
      "soorma-registry-a": { manifest: { ...metadata("registry", "a"), version: "9.0.0" }, code },
      "no-plugin": { code },
      "settings-only": { manifest: { soorma: { agents: "src" } }, code },
    });
    await Bun.write(join(from, "node_modules", "damaged", "package.json"), "{");
    const inner = join(from, "apps", "inner");
    await writePackage(
      join(inner, "node_modules", "soorma-registry-a"),
      "soorma-registry-a",
      metadata("registry", "a"),
      code,
    );
    const listed = await listPlugins(inner);
    expect(listed.map(({ kind, name, package: pkg, version }) => [kind, name, pkg, version])).toEqual([
      ["registry", "a", "soorma-registry-a", "1.2.3"],
      ["registry", "acme", "@acme/thing", "1.2.3"],
      ["transport", "b", "@soorma/transport-b", "1.2.3"],
    ]);
    expect(listed[0]?.dir).toStartWith(inner);
  });

  test("a folder without node_modules has none of its own", async () => {
    const from = await project();
    expect((await listPlugins(from)).filter(({ dir }) => dir.startsWith(from))).toEqual([]);
  });
});
