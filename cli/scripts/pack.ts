// Packs every package that is published into a folder: `bun cli/scripts/pack.ts [folder]`. Default: dist in the repository.
import { mkdirSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const repository = join(import.meta.dir, "..", "..");
const folder = resolve(process.argv[2] ?? join(repository, "dist"));
mkdirSync(folder, { recursive: true });
const plugins = readdirSync(join(repository, "plugins")).map((name) => `plugins/${name}`);
for (const room of ["core", "broker", ...plugins, "cli"]) {
  const child = Bun.spawn([process.execPath, "pm", "pack", "--quiet", "--destination", folder], {
    cwd: join(repository, room),
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
  });
  if ((await child.exited) !== 0) throw new Error(`packing ${room} failed`);
}
