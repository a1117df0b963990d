import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin, createPluginLoader } from "@soorma/core/plugins";
import { openLmdbStore } from "@soorma/core/store";
import manifest from "../../package.json" with { type: "json" };
import { defaultPlugins } from "../config/settings.ts";
import { diskFault } from "../ui/disk-fault.ts";
import { type Finding, fail, hintOf, ok, reasonOf, warn } from "./finding.ts";
import {
  judgeBun,
  judgeClock,
  judgeDisk,
  judgeFileLimit,
  judgePlatform,
  judgeSocketFolder,
  judgeWatches,
} from "./machine.ts";

/** How long a message to oneself may take. */
const patienceMs = 5_000;

export interface MachineInput {
  /** Of the transport that is in force; absent when that is another one than ZeroMQ. */
  readonly socketFolder: string | undefined;
  readonly dataFolder: string;
}

/** Checks of the machine. Whatever they make is in temporary folders, and gone when they resolve. */
export async function checkMachine({ socketFolder, dataFolder }: MachineInput): Promise<Finding[]> {
  const parent = socketFolder === undefined ? tmpdir() : dirname(socketFolder);
  return [
    judgeBun(Bun.version, manifest.engines.bun),
    judgePlatform(process.platform, process.arch),
    checkTemporaryFolder(parent),
    ...(socketFolder === undefined ? [] : [judgeSocketFolder(socketFolder), await checkZeromq(parent)]),
    await checkLmdb(),
    await checkLoopback(),
    ...checkLimits(),
    checkShell(),
    checkClock(),
    checkDisk(dataFolder),
  ];
}

async function inFolder<T>(parent: string, body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(parent, "soorma-doctor-"));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function checkTemporaryFolder(parent: string): Finding {
  const name = "temporary folder";
  for (const folder of new Set([parent, tmpdir()])) {
    try {
      rmSync(mkdtempSync(join(folder, "soorma-doctor-")), { recursive: true });
    } catch (error) {
      return fail(
        name,
        `${folder} cannot be written: ${reasonOf(error)}`,
        "make it writable, or name another with TMPDIR",
      );
    }
  }
  return ok(name, parent);
}

/** Two nodes and a message between them: the native file is there, loads, and the system lets it work. */
async function checkZeromq(parent: string): Promise<Finding> {
  const name = "libzmq";
  const started = performance.now();
  try {
    const plugin = await createPluginLoader({ from: [import.meta.dir] }).load("transport", defaultPlugins.transport);
    await inFolder(parent, async (dir) => {
      const deps = { runtime: systemRuntime, log: silentLogger };
      const [sender, receiver] = [
        await createFromPlugin(plugin, { dir }, deps),
        await createFromPlugin(plugin, { dir }, deps),
      ];
      const arrived = Promise.withResolvers<void>();
      const timer = setTimeout(() => arrived.reject(new Error(`no message came within ${patienceMs} ms`)), patienceMs);
      const handlers = { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} };
      const options = { maxFrameBytes: 1024, handlers };
      try {
        const address = await receiver.open({
          ...options,
          nodeId: "doctor-receiver",
          handlers: { ...handlers, onMessage: () => arrived.resolve() },
        });
        await sender.open({ ...options, nodeId: "doctor-sender" });
        await Promise.all([sender.send(address, Buffer.from("hello")), arrived.promise]);
      } finally {
        clearTimeout(timer);
        await Promise.all([sender.close(), receiver.close()]);
      }
    });
    return ok(name, `a message through a unix socket took ${Math.ceil(performance.now() - started)} ms`);
  } catch (error) {
    return fail(name, reasonOf(error), fixOf(error, "zeromq"));
  }
}

async function checkLmdb(): Promise<Finding> {
  const name = "lmdb";
  const started = performance.now();
  try {
    await inFolder(tmpdir(), async (path) => {
      const store = await openLmdbStore({ path, runtime: systemRuntime, log: silentLogger });
      try {
        await store.transact((tx) => tx.put(["probe"], 1));
        if (store.get(["probe"]) !== 1) throw new Error("what was written is not read");
      } finally {
        await store.close();
      }
    });
    return ok(name, `a write that is on disk took ${Math.ceil(performance.now() - started)} ms`);
  } catch (error) {
    return fail(name, reasonOf(error), fixOf(error, "lmdb"));
  }
}

/** A folder that cannot be written says nothing about a package. */
function fixOf(error: unknown, packageName: string): string {
  if (diskFault(error) !== undefined) return "make the temporary folder writable, or name another with TMPDIR";
  return hintOf(error) ?? `run \`bun install --force\`; the package ${packageName} has to be complete`;
}

async function checkLoopback(): Promise<Finding> {
  const name = "loopback";
  try {
    const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const socket = await Bun.connect({ hostname: "127.0.0.1", port: server.port, socket: { data() {} } });
      socket.end();
    } finally {
      server.stop(true);
    }
    return ok(name, "127.0.0.1 takes connections");
  } catch (error) {
    return fail(
      name,
      `127.0.0.1 takes no connections: ${reasonOf(error)}`,
      "bring the network device lo up: `ip link set lo up`",
    );
  }
}

function checkLimits(): Finding[] {
  const [soft, hard] = fileLimits();
  const files = soft === undefined ? [] : [judgeFileLimit(soft, hard ?? soft)];
  const [instances, watches] = ["max_user_instances", "max_user_watches"].map((name) => {
    try {
      return Number(readFileSync(`/proc/sys/fs/inotify/${name}`, "utf8"));
    } catch {
      return undefined;
    }
  });
  if (instances === undefined || watches === undefined) return files;
  return [...files, judgeWatches(instances, watches)];
}

/** Soft and hard; nothing where there is no shell to ask, which is told by another check. */
function fileLimits(): number[] {
  try {
    const { stdout, success } = Bun.spawnSync(["/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"]);
    if (!success) return [];
    const lines = stdout.toString().trim().split("\n");
    return lines.map((line) => (line === "unlimited" ? Number.POSITIVE_INFINITY : Number(line)));
  } catch {
    return [];
  }
}

/** What ends the processes of a supervisor that was killed is a shell script, and `ps` tells processes apart. */
function checkShell(): Finding {
  const missing = [existsSync("/bin/sh") ? [] : ["/bin/sh"], Bun.which("ps") === null ? ["ps"] : []].flat();
  if (missing.length === 0) return ok("programs", "sh and ps are there");
  const found = `${missing.join(" and ")} cannot be found`;
  if (missing.includes("/bin/sh"))
    return fail("programs", found, "install a shell: `soorma dev` needs it to clean up after a kill");
  return warn("programs", found, "install procps: messages would not name the process that has a port");
}

function checkClock(): Finding {
  return judgeClock({
    nowMs: Date.now(),
    fileMs: dateOfNewFile(),
    installedMs: statSync(import.meta.path).mtimeMs,
    synchronized: isSynchronized(),
  });
}

/** Undefined where no file can be written, which is told by another check. */
function dateOfNewFile(): number | undefined {
  let folder: string | undefined;
  try {
    folder = mkdtempSync(join(tmpdir(), "soorma-doctor-"));
    const file = join(folder, "now");
    writeFileSync(file, "");
    return statSync(file).mtimeMs;
  } catch {
    return undefined;
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

function isSynchronized(): boolean | undefined {
  if (Bun.which("timedatectl") === null) return undefined;
  const { stdout, success } = Bun.spawnSync(["timedatectl", "show", "--property=NTPSynchronized", "--value"], {
    timeout: 2_000,
  });
  const answer = stdout.toString().trim();
  return success && (answer === "yes" || answer === "no") ? answer === "yes" : undefined;
}

function checkDisk(dataFolder: string): Finding {
  // It is made when the mesh first starts.
  let folder = dataFolder;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    const { bavail, bsize, type } = statfsSync(folder);
    return judgeDisk(folder, bavail * bsize, type);
  } catch (error) {
    return fail("disk", `${folder} cannot be looked at: ${reasonOf(error)}`, "set mesh.dataFolder to another folder");
  }
}
