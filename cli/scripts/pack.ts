/**
 * Packs every package that is published into a folder: `bun cli/scripts/pack.ts [folder]`. Default: dist in the repository.
 *
 * What is published is the source, and beside it one bundle of it, which is what runs: a process loads one file of each
 * package instead of hundreds (core/README.md, "Decisions"). It is made here and nowhere else, so it cannot be older
 * than its source.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";

const repository = join(import.meta.dir, "..", "..");
/** Loaded in every process and never by anybody else: bundled into core. */
const bundled = ["typebox", "semver"];
const outputFolder = "dist";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly files: readonly string[];
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Folders of the packages that are published, relative to the repository. */
function publishedRooms(): string[] {
  const plugins = readdirSync(join(repository, "plugins")).map((name) => `plugins/${name}`);
  return ["core", "broker", ...plugins, "cli", "cli/create"].filter(
    (room) => readManifest(join(repository, room)).private !== true,
  );
}

/** Writes the package's tarball into `folder` and resolves with its path. */
async function packRoom(room: string, folder: string): Promise<string> {
  const source = join(repository, room);
  const manifest = readManifest(source);
  // A copy: nothing is written where somebody works, however many pack at the same time.
  const stage = mkdtempSync(join(tmpdir(), "soorma-pack-"));
  try {
    const skipped = new Set(["node_modules", outputFolder, "coverage", ".soorma"]);
    cpSync(source, stage, { recursive: true, filter: (path) => !skipped.has(basename(path)) || path === source });
    // The templates live at the root of the repository; the published package carries a copy of them.
    if (manifest.files.includes("templates")) {
      cpSync(join(repository, "templates"), join(stage, "templates"), { recursive: true });
    }
    if (manifest.exports) {
      // Bundled where it lies in the package, so that its source map names the sources beside it.
      symlinkSync(join(source, "node_modules"), join(stage, "node_modules"));
      await bundle(stage, manifest, manifest.exports);
      rmSync(join(stage, "node_modules"));
    }
    writeFileSync(join(stage, "package.json"), JSON.stringify(published(manifest), undefined, 2));
    const filename = join(folder, `${manifest.name.replace("@", "").replaceAll("/", "-")}-${manifest.version}.tgz`);
    const child = Bun.spawn([process.execPath, "pm", "pack", "--quiet", "--filename", filename], {
      cwd: stage,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const problem = await child.stderr.text();
    if ((await child.exited) !== 0) throw new Error(`packing ${room} failed: ${problem}`);
    return filename;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** One file an entry of the package, what they share in files of its own. Other packages stay packages. */
async function bundle(folder: string, manifest: Manifest, exports: NonNullable<Manifest["exports"]>): Promise<void> {
  const { name, dependencies, devDependencies, peerDependencies } = manifest;
  const packages = Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies });
  const result = await Bun.build({
    entrypoints: Object.values(exports).map((entry) => join(folder, entry)),
    root: folder,
    outdir: join(folder, outputFolder),
    target: "bun",
    splitting: true,
    // Names stay, and places can be looked up: both are in stack traces.
    sourcemap: "linked",
    minify: { whitespace: true, syntax: true, identifiers: false },
    external: packages
      .filter((dependency) => !(name === "@soorma/core" && bundled.includes(dependency)))
      .flatMap((dependency) => [dependency, `${dependency}/*`]),
    throw: false,
  });
  if (!result.success) throw new AggregateError(result.logs, `bundling ${name} failed`);
}

/** The manifest as the registry gets it: types from the source, code from the bundle, versions of its neighbours. */
function published(manifest: Manifest): object {
  const neighbours = Object.entries(manifest.dependencies ?? {}).map(([name, range]) => [
    name,
    range.startsWith("workspace:") ? manifest.version : range,
  ]);
  const { devDependencies: _, exports, ...rest } = manifest;
  const bundled = exports && {
    files: [...manifest.files, outputFolder],
    exports: Object.fromEntries(
      Object.entries(exports).map(([name, entry]) => [
        name,
        { types: entry, default: entry.replace(/^\.\//, `./${outputFolder}/`).replace(/\.ts$/, ".js") },
      ]),
    ),
  };
  return {
    ...rest,
    ...bundled,
    ...(neighbours.length > 0 ? { dependencies: Object.fromEntries(neighbours) } : {}),
  };
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(repository, "dist"));
  mkdirSync(folder, { recursive: true });
  for (const room of publishedRooms()) process.stdout.write(`${await packRoom(room, folder)}\n`);
}
