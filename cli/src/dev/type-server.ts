import { readdirSync } from "node:fs";
import { join } from "node:path";
import { type Diagnostic, placeOf } from "./diagnostics.ts";
import { areEqual, changedBetween, type FileStamps, stampsOf } from "./file-stamps.ts";
import { connectJsonRpc } from "./json-rpc.ts";
import { identify, type ProcessIdentity } from "./process-identity.ts";
import type { Sentinel } from "./sentinel.ts";

export interface TypeServerOptions {
  readonly root: string;
  /** The file of TypeScript's command, of version 7 or later. */
  readonly compiler: string;
  readonly sentinel: Sentinel;
}

/**
 * TypeScript's own server, which has the project in its memory and looks only at what was written since: a verdict takes
 * milliseconds. It is spoken to by the API of the `typescript` package ("typescript/unstable/async"), not by LSP, as
 * only there the files of an agent are judged by the project's own `tsconfig.json`, and by nothing where that leaves them
 * out. The API is not stable yet: whatever is not as expected is an error.
 */
export interface TypeServer {
  readonly identity: ProcessIdentity;
  /** Whether something was installed or set since it started: it has read that once, and does so never again. */
  readonly isOutdated: boolean;
  /** Whether it was started just now, and has read everything since. */
  readonly isFresh: boolean;
  /** One call at a time. @throws {Error} When the server ended, or answered with what it should not. */
  diagnose(files: Iterable<string>): Promise<readonly Diagnostic[]>;
  close(): void;
}

/** Milliseconds. */
const freshMs = 5_000;

/** Of the same meaning as in `tsc`. */
const errorCategory = 1;

export function startTypeServer({ root, compiler, sentinel }: TypeServerOptions): TypeServer {
  const settings = settingsOf(root);
  const startedMs = performance.now();
  let wasTold = false;
  const child = Bun.spawn([process.execPath, "--bun", compiler, "--api", "--async", "--cwd", root], {
    cwd: root,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
    // Ctrl-C in the terminal is not for it. It ends with its input, and so with this process.
    detached: true,
  });
  sentinel.add(child.pid);
  const rpc = connectJsonRpc(child.stdin, child.stdout);
  void child.exited.then(() => {
    sentinel.remove(child.pid);
    rpc.close(new Error(`TypeScript's server ended with exit code ${child.exitCode ?? child.signalCode}`));
  });

  let snapshot: number | undefined;
  let project: string | undefined;
  /** The project's own files as they were before the server read them. */
  let known: FileStamps = new Map();

  const update = async (params: Record<string, unknown>): Promise<void> => {
    const before = snapshot;
    const answer = await rpc.request("updateSnapshot", params);
    if (!isRecord(answer) || typeof answer.snapshot !== "number" || !Array.isArray(answer.projects))
      throw unexpected("updateSnapshot", answer);
    snapshot = answer.snapshot;
    const config = join(root, "tsconfig.json");
    const found = answer.projects.find((each) => isRecord(each) && each.configFileName === config) as unknown;
    if (!isRecord(found) || typeof found.id !== "string") throw unexpected("updateSnapshot", answer.projects);
    project = found.id;
    // Of no interest to anybody who waits.
    if (before !== undefined) void rpc.request("release", { snapshot: before }).catch(() => {});
  };

  const ownFiles = async (): Promise<string[]> => {
    const names = await rpc.request("getSourceFileNames", { snapshot, project });
    if (names === null) return [];
    if (!Array.isArray(names)) throw unexpected("getSourceFileNames", names);
    return names.map(String).filter((name) => !name.includes("/node_modules/"));
  };

  const diagnosticsOf = async (file: string): Promise<Diagnostic[]> => {
    const of = { snapshot, project, file };
    const [syntactic, semantic] = await Promise.all([
      rpc.request("getSyntacticDiagnostics", of),
      rpc.request("getSemanticDiagnostics", of),
    ]);
    // After a syntax error there is nothing sensible to say of types.
    const faults = readDiagnostics(syntactic);
    return faults.length > 0 ? faults : readDiagnostics(semantic);
  };

  /** Everything at once: what is waited for is mostly the way there and back. */
  const look = async (files: readonly string[]): Promise<{ own: string[]; found: Diagnostic[] }> => {
    const [own, ...judged] = await Promise.all([
      ownFiles(),
      ...files.map((file) =>
        diagnosticsOf(file).then(
          (found) => ({ file, found }),
          (error: unknown) => ({ file, error }),
        ),
      ),
    ]);
    const project = new Set(own);
    // It refuses to say anything of what is no part of the project.
    const found = judged.flatMap((each) => {
      if ("found" in each) return each.found;
      if (project.has(each.file)) throw each.error;
      return [];
    });
    return { own, found };
  };

  return {
    identity: identify(child.pid) ?? { pid: child.pid, startTime: "" },
    get isOutdated() {
      return !areEqual(settings, settingsOf(root));
    },
    get isFresh() {
      return !wasTold && performance.now() - startedMs < freshMs;
    },
    async diagnose(files) {
      const wanted = [...files];
      // Always looked at before the server reads it: what is written meanwhile differs the next time.
      const now = stampsOf([...known.keys(), ...wanted]);
      if (snapshot === undefined) {
        await rpc.request("initialize", null);
        await update({ openProjects: [join(root, "tsconfig.json")] });
      } else {
        const touched = changedBetween(known, now);
        const created = [...wanted.filter((file) => !known.has(file)), ...touched.filter((file) => !known.get(file))];
        const deleted = touched.filter((file) => !now.get(file));
        const changed = touched.filter((file) => known.get(file) && now.get(file));
        if (created.length + deleted.length + changed.length > 0) {
          wasTold = true;
          await update({ fileChanges: { created, deleted, changed } });
        }
      }
      known = now;
      for (;;) {
        const { own, found } = await look(wanted);
        // Files that only types are imported from are known to nobody else.
        const more = own.filter((file) => !known.has(file));
        if (more.length === 0) return found;
        known = new Map([...known, ...stampsOf(more)]);
        await update({ fileChanges: { created: [], deleted: [], changed: more } });
      }
    },
    close() {
      rpc.close(new Error("TypeScript's server is closed"));
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // Gone already.
      }
    },
  };
}

/** What a server reads once: the settings of the project, and what is installed in it. */
function settingsOf(root: string): FileStamps {
  const configs = readdirSync(root).filter((name) => /^tsconfig.*\.json$/.test(name));
  return stampsOf([...configs, "package.json", "bun.lock", "node_modules"].map((name) => join(root, name)));
}

/** `null` stands for none. */
function readDiagnostics(answer: unknown): Diagnostic[] {
  if (answer === null) return [];
  if (!Array.isArray(answer)) throw unexpected("diagnostics", answer);
  return answer.flatMap((each: unknown) => {
    if (!isRecord(each) || typeof each.code !== "number" || typeof each.pos !== "number")
      throw unexpected("a diagnostic", each);
    if (each.category !== errorCategory || typeof each.fileName !== "string") return [];
    const { fileName: file, pos, code } = each;
    return [{ file, ...placeOf(file, pos), message: `TS${code}: ${textOf(each, 0)}` }];
  });
}

/** A reason is indented below what it is the reason of, as `tsc` does. */
function textOf(diagnostic: Record<string, unknown>, depth: number): string {
  const reasons = Array.isArray(diagnostic.messageChain) ? diagnostic.messageChain.filter(isRecord) : [];
  const lines = reasons.map((reason) => `${"  ".repeat(depth + 1)}${textOf(reason, depth + 1)}`);
  return [String(diagnostic.text), ...lines].join("\n");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function unexpected(what: string, value: unknown): Error {
  return new Error(`TypeScript's server gave as ${what} ${JSON.stringify(value)?.slice(0, 200)}`);
}
