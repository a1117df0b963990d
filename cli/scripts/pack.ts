/**
 * Packs every package that is published into a folder: `bun cli/scripts/pack.ts [folder]`. Default: dist in the repository.
 *
 * What is published is the source, and beside it what is made of it: one bundle, which is what runs, since a process then
 * loads one file of each package instead of hundreds, and declarations, which is what a user's TypeScript reads instead of
 * checking all of the source again (core/README.md, "Decisions"). Both are made here and nowhere else, so they cannot be
 * older than their source.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";

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
async function packRoom(room: string, declarations: string, folder: string): Promise<string> {
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
      addDeclarations(join(declarations, room), stage);
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

/** Writes the declarations of all entries of the packages, and of what these import, into `folder`. */
async function declare(rooms: readonly string[], folder: string): Promise<void> {
  const entries = rooms.flatMap((room) => {
    const { name, exports = {} } = readManifest(join(repository, room));
    return Object.entries(exports).map(([as, entry]) => [join(name, as), join(repository, room, entry)] as const);
  });
  const config = {
    extends: join(repository, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      emitDeclarationOnly: true,
      declaration: true,
      // An editor goes to the source that is published beside it.
      declarationMap: true,
      // The check does that.
      noCheck: true,
      rootDir: repository,
      outDir: folder,
      typeRoots: [join(repository, "node_modules")],
      // By way of node_modules they would be other people's files, of which TypeScript makes nothing.
      paths: Object.fromEntries(entries.map(([name, entry]) => [name, [entry]])),
    },
    files: entries.map(([, entry]) => entry),
    include: [],
    exclude: [],
  };
  const configFile = join(folder, "tsconfig.json");
  writeFileSync(configFile, JSON.stringify(config));
  const compiler = Bun.resolveSync("typescript/package.json", repository).replace(/package\.json$/, "bin/tsc");
  const child = Bun.spawn([process.execPath, "--bun", compiler, "-p", configFile], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const problem = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error(`the declarations could not be made:\n${problem}`);
  for (const [, entry] of entries) checkDeclared(join(folder, relative(repository, entry)), new Set());
}

/** @throws {Error} when the declarations of a file, or of what these import, are not there. */
function checkDeclared(source: string, checked: Set<string>): void {
  if (checked.has(source)) return;
  checked.add(source);
  const text = readFileSync(source.replace(/\.ts$/, ".d.ts"), "utf8");
  for (const [, path = ""] of text.matchAll(/(?:from|import|import\() ?"(\.[^"]+\.ts)"/g)) {
    checkDeclared(join(dirname(source), path), checked);
  }
}

/** Puts a package's declarations beside its bundle, with maps that lead to its sources. */
function addDeclarations(from: string, stage: string): void {
  for (const path of new Bun.Glob("**/*.d.ts").scanSync(from)) {
    const target = join(stage, outputFolder, path);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(join(from, path), target);
    const map = JSON.parse(readFileSync(join(from, `${path}.map`), "utf8")) as object;
    const source = relative(dirname(target), join(stage, path.replace(/\.d\.ts$/, ".ts")));
    writeFileSync(`${target}.map`, JSON.stringify({ ...map, sources: [source] }));
  }
}

/** The manifest as the registry gets it: types from the declarations, code from the bundle, versions of its neighbours. */
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
        { types: made(entry, ".d.ts"), default: made(entry, ".js") },
      ]),
    ),
  };
  return {
    ...rest,
    ...bundled,
    ...(neighbours.length > 0 ? { dependencies: Object.fromEntries(neighbours) } : {}),
  };
}

/** Where what is made of a source lies in the package. */
function made(entry: string, extension: string): string {
  return entry.replace(/^\.\//, `./${outputFolder}/`).replace(/\.ts$/, extension);
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(repository, "dist"));
  mkdirSync(folder, { recursive: true });
  const rooms = publishedRooms();
  const declarations = mkdtempSync(join(tmpdir(), "soorma-declarations-"));
  try {
    await declare(rooms, declarations);
    for (const room of rooms) process.stdout.write(`${await packRoom(room, declarations, folder)}\n`);
  } finally {
    rmSync(declarations, { recursive: true, force: true });
  }
}
