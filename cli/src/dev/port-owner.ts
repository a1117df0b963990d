import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { CommandError } from "../ui/errors.ts";

/** @throws {CommandError} `PORT_TAKEN`, naming the process that has the port where the system tells. */
export function checkPortFree(port: number): void {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EACCES") {
      throw new CommandError("PORT_TAKEN", `port ${port} is reserved for the system`, { hint: "take one above 1023" });
    }
    const owner = portOwner(port);
    throw new CommandError("PORT_TAKEN", `port ${port} is taken by ${owner ?? "a process of somebody else"}`, {
      cause,
      hint: "choose another with --port, or leave it out: without one the broker needs none",
    });
  }
}

/** Who listens on a port: `process 123 (node server.js)`. */
function portOwner(port: number): string | undefined {
  const pid = process.platform === "linux" ? linuxPortOwner(port) : lsofPortOwner(port);
  if (pid === undefined) return undefined;
  // Small images have none.
  const hasPs = Bun.which("ps") !== null;
  const command = hasPs
    ? Bun.spawnSync(["ps", "-o", "args=", "-p", String(pid)])
        .stdout.toString()
        .trim()
    : "";
  return `process ${pid}${command === "" ? "" : ` (${command.slice(0, 120)})`}`;
}

/** See proc_net(5): local address in hex, state 0A is listening, the tenth column is the socket's inode. */
function linuxPortOwner(port: number): number | undefined {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of read(table).split("\n").slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (local?.endsWith(suffix) && state === "0A" && inode) inodes.add(`socket:[${inode}]`);
    }
  }
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (inodes.has(readlinkSync(`/proc/${pid}/fd/${fd}`))) return Number(pid);
      }
    } catch {
      // Another user's process, or gone.
    }
  }
  return undefined;
}

function lsofPortOwner(port: number): number | undefined {
  if (Bun.which("lsof") === null) return undefined;
  const { stdout } = Bun.spawnSync(["lsof", "-nP", `-iTCP:${port}`, "-sTCP:LISTEN", "-t"]);
  return Number(stdout.toString().split("\n")[0]) || undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
