import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Diagnostic, frameOf } from "./diagnostics.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import type { Sentinel } from "./sentinel.ts";
import { createTscRuns } from "./tsc-run.ts";
import { startTypeServer, type TypeServer } from "./type-server.ts";

/** What the project's TypeScript says of some files: nothing, or what is wrong, with code frames. */
export type TypeVerdict = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Checks types with the project's own TypeScript. */
export interface TypeChecker {
  /** The process that has the project in its memory, once there is one. */
  readonly process: ProcessIdentity | undefined;
  /** Judges the files as they are after the call. Never throws, and comes to an end. */
  check(files: ReadonlySet<string>): Promise<TypeVerdict>;
  close(): void;
}

export interface TypeCheckerOptions {
  readonly root: string;
  /** For what TypeScript remembers from one run to the next. */
  readonly buildFolder: string;
  readonly sentinel: Sentinel;
  /** For the person who watches: something took another way than it should. */
  warn(text: string): void;
  /** Its process is another. */
  onChange(): void;
  /** Milliseconds to wait for the server's verdict. Default 5_000, and four times as many for the first of a server. */
  readonly patienceMs?: number;
}

/** The first version that has a server of the kind needed. */
const serverSince = 7;
/** After so many failures no further server is started. */
const mostFailures = 3;
/** Milliseconds for a run of `tsc`. */
const runPatienceMs = 60_000;

/**
 * A server of TypeScript 7 judges a saved file in milliseconds. What it finds wrong a fresh one looks at again: a package
 * that was installed meanwhile must not keep a right file from running. Where there is none, or it fails, `tsc` is run.
 *
 * @returns `undefined` where there is no `tsconfig.json`, or no TypeScript installed.
 */
export function createTypeChecker(options: TypeCheckerOptions): TypeChecker | undefined {
  const { root, buildFolder, sentinel, patienceMs = 5_000 } = options;
  const compiler = existsSync(join(root, "tsconfig.json")) ? compilerOf(root) : undefined;
  if (compiler === undefined) return undefined;
  const runs = createTscRuns({ root, compiler: compiler.file, buildFolder, sentinel, patienceMs: runPatienceMs });
  let server: TypeServer | undefined;
  let failures = compiler.major >= serverSince ? 0 : mostFailures;
  let isClosed = false;
  let last: Promise<unknown> = Promise.resolve();

  const replace = (next: TypeServer | undefined): void => {
    server?.close();
    server = next;
    options.onChange();
  };

  const open = (): TypeServer => {
    const next = startTypeServer({ root, compiler: compiler.file, sentinel });
    replace(next);
    return next;
  };

  const ask = async (files: ReadonlySet<string>): Promise<readonly Diagnostic[]> => {
    if (server?.isOutdated) replace(undefined);
    const running = server;
    const isNew = !running;
    const asked = running ?? open();
    const found = await within(isNew ? 4 * patienceMs : patienceMs, asked.diagnose(files));
    // One that told another agent of the same fault just now is as good as a new one.
    if (found.length === 0 || isNew || asked.isFresh || isClosed) return found;
    replace(undefined);
    return await ask(files);
  };

  const diagnose = async (files: ReadonlySet<string>): Promise<readonly Diagnostic[]> => {
    if (isClosed) return [];
    if (failures < mostFailures) {
      try {
        return await ask(files);
      } catch (error) {
        if (isClosed) return [];
        replace(undefined);
        failures++;
        const after = failures < mostFailures ? "" : ", as from now on";
        options.warn(`types are checked by a run of tsc${after}: ${messageOf(error)}`);
      }
    }
    return (await runs.diagnose()).filter(({ file }) => files.has(file));
  };

  return {
    get process() {
      return server?.identity;
    },
    async check(files) {
      const mine = (failures < mostFailures ? last : Promise.resolve()).then(() => diagnose(files));
      last = mine.catch(() => {});
      try {
        const found = await mine;
        return found.length === 0 ? { ok: true } : { ok: false, problem: found.map(frameOf).join("\n\n") };
      } catch (error) {
        const hint = "run it yourself to see more, or do without by `soorma dev --no-types`";
        return { ok: false, problem: `types could not be checked: ${messageOf(error)}\n${hint}` };
      }
    },
    close() {
      isClosed = true;
      server?.close();
      server = undefined;
      runs.close();
    },
  };
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`TypeScript's server took more than ${ms / 1000} s`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function compilerOf(root: string): { readonly file: string; readonly major: number } | undefined {
  try {
    const manifest = Bun.resolveSync("typescript/package.json", root);
    const { bin, version } = JSON.parse(readFileSync(manifest, "utf8")) as {
      bin?: { tsc?: string };
      version?: string;
    };
    if (bin?.tsc === undefined) return undefined;
    return { file: join(dirname(manifest), bin.tsc), major: Number.parseInt(version ?? "0", 10) };
  } catch {
    return undefined;
  }
}
