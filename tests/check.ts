/**
 * Everything that must hold, fastest answer first: style and boundaries, unused code, packages, types, tests. Goes on
 * after a failure, so that one run shows all of them; the last line counts every check and every test.
 *
 * Usage: bun tests/check.ts [parts of test files' paths, to run those alone]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { type Counts, countTests } from "./junit.ts";

const root = join(import.meta.dir, "..");
/** A test ends when what it waits for is there; this bound is for machines busy with other things. */
const testTimeoutMs = 60_000;
const stepTimeoutMs = 600_000;
/** Simulated histories; `bun run simulate` takes as many as one likes. */
const seeds = 2_000;
/** These start processes, fill disks or wait for deadlines: each gets a process of its own, and so many run at a time. */
const heavyAtATime = 2;
const heavy = /^(tests|cli|broker|plugins\/transport-zeromq)\/|faults\.test\.ts$/;

interface Result extends Counts {
  readonly title: string;
}

const results: Result[] = [];
let reports = 0;
const temporary = mkdtempSync(join(tmpdir(), "soorma-check-"));
try {
  await checkAll(process.argv.slice(2));
} finally {
  rmSync(temporary, { recursive: true, force: true });
}
report();

async function checkAll(only: readonly string[]): Promise<void> {
  const { packageManager } = readPackage(root);
  if (packageManager !== `bun@${Bun.version}`) console.log(`(this is bun@${Bun.version}; pinned is ${packageManager})`);
  if (only.length === 0) {
    await step("biome (style, import boundaries)", () => tool("biome", "ci", "--error-on-warnings"));
    await step("knip (unused files, exports, dependencies)", () => tool("knip"));
    await step("publint (packages as they would be published)", lintPackages);
    await step("tsc (types)", () => tool("tsc", "-p", "tsconfig.json"));
  }
  const files = testFiles(only);
  const light = files.filter((file) => !heavy.test(file));
  if (light.length > 0) await step(`${light.length} files of tests, side by side`, () => test(light, "--parallel=2"));
  // In a process each, so that nothing one leaves behind, or ends with, is another's.
  const left = files.filter((file) => !light.includes(file)).values();
  await Promise.all(
    Array.from({ length: heavyAtATime }, async () => {
      for (const file of left) await step(file, () => test([file]));
    }),
  );
  if (only.length > 0) return;
  await step(`simulation of ${seeds} seeds`, () => script("tests/simulation/main.ts", "--seeds", String(seeds)));
  await step("chaos, the short form", () => script("tests/chaos/main.ts", "--short"));
}

function report(): void {
  const total = (of: keyof Counts) => results.reduce((sum, result) => sum + result[of], 0);
  const failures = results.filter((result) => result.failed > 0).map((result) => result.title);
  console.log(failures.length > 0 ? `\nFailed: ${failures.join("; ")}` : "");
  const skipped = total("skipped");
  console.log(`${total("passed")} passed, ${total("failed")} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}

async function step(title: string, run: () => Promise<Counts>): Promise<void> {
  const startMs = performance.now();
  const counts = await run();
  results.push({ title, ...counts });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(6);
  const { passed, failed, skipped } = counts;
  const notes = [
    `${passed} passed`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  console.log(
    `${failed > 0 ? "✗" : "✓"} ${seconds} s  ${title}${passed + skipped > 1 || failed > 0 ? `: ${notes.join(", ")}` : ""}`,
  );
}

/** Runs a development tool of the workspace and shows what it wrote if it fails. */
async function tool(name: string, ...args: string[]): Promise<Counts> {
  return judge(await run(bunx(name, ...args)));
}

/** A program that checks by itself. What it says of how it went stays on the screen: a seed is worth knowing. */
async function script(...command: string[]): Promise<Counts> {
  const finished = await run([process.execPath, ...command], { env: testEnvironment() });
  if (finished.code === 0) console.log(finished.output.trimEnd().split("\n").slice(-3).join("\n"));
  return judge(finished);
}

/** Judges what would be published, so the packed form. */
async function lintPackages(): Promise<Counts> {
  const packed = await run([process.execPath, "cli/scripts/pack.ts", temporary]);
  if (packed.code !== 0) return judge(packed);
  const counts: Counts[] = [];
  for (const tarball of packed.output.trim().split("\n")) {
    counts.push(judge(await run(bunx("publint", "run", "--strict", tarball))));
  }
  const total = (of: keyof Counts) => counts.reduce((sum, count) => sum + count[of], 0);
  return { passed: total("passed"), failed: total("failed"), skipped: 0 };
}

async function test(files: readonly string[], ...how: string[]): Promise<Counts> {
  const outfile = join(temporary, `junit-${++reports}.xml`);
  const { code, output } = await run(
    [
      ...[process.execPath, "test", ...how, `--timeout=${testTimeoutMs}`, "--only-failures"],
      ...["--reporter=junit", `--reporter-outfile=${outfile}`, ...files.map((file) => `./${file}`)],
    ],
    { env: testEnvironment() },
  );
  const report = Bun.file(outfile);
  const counts = (await report.exists()) ? countTests(await report.text()) : { passed: 0, failed: 0, skipped: 0 };
  if (code === 0) return counts;
  console.log(output.trimEnd());
  // A file that cannot be loaded, or a runner that was killed, is in no report.
  return counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

interface Finished {
  readonly code: number;
  readonly output: string;
}

async function run(
  command: string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string | undefined> } = {},
): Promise<Finished> {
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? root,
    env: options.env ?? process.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: stepTimeoutMs,
    killSignal: "SIGKILL",
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, output: out + err };
}

function judge({ code, output }: Finished): Counts {
  if (code !== 0) console.log(output.trimEnd());
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** With `--bun`, since the tools are written for Node, which need not be there. */
function bunx(name: string, ...args: string[]): string[] {
  return [process.execPath, "x", "--bun", "--no-install", name, ...args];
}

/**
 * Where Node is missing, `bun run` puts a folder on the PATH in which `node` is Bun: tests that need Node would take it
 * for the real one.
 */
function testEnvironment(): Record<string, string | undefined> {
  const paths = (process.env.PATH ?? "").split(delimiter);
  const real = paths.filter((path) => !basename(path).startsWith("bun-node-"));
  const hasBun = Bun.which("bun", { PATH: real.join(delimiter) }) !== null;
  return { ...process.env, PATH: [...(hasBun ? [] : [dirname(process.execPath)]), ...real].join(delimiter) };
}

function testFiles(only: readonly string[]): string[] {
  const files = [...new Bun.Glob("{core,broker,cli,plugins,tests}/**/*.test.ts").scanSync(root)]
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => !/\/(node_modules|fixtures)\/|^cli\/templates\//.test(file));
  return files.filter((file) => only.length === 0 || only.some((part) => file.includes(part))).sort();
}

function readPackage(folder: string): { readonly packageManager?: string } {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}
