import { type Finding, fail, ok, warn } from "./finding.ts";

/** Judgements about a machine, apart from how its facts are found. */

/** @param wanted - As in `engines`: `>=1.4.5`. */
export function judgeBun(version: string, wanted: string): Finding {
  if (Bun.semver.satisfies(version, wanted)) return ok("bun", version);
  return fail("bun", `${version}, and soorma needs ${wanted}`, "run `bun upgrade`");
}

export function judgePlatform(os: string, arch: string): Finding {
  const name = "platform";
  if (os === "win32") return fail(name, `${os} ${arch}: libzmq cannot be used there`, "run soorma under WSL 2");
  if (["linux", "darwin"].includes(os) && ["x64", "arm64"].includes(arch)) return ok(name, `${os} ${arch}`);
  return warn(name, `${os} ${arch}, on which soorma was never run`, "use Linux or macOS, on x64 or arm64");
}

/** Each process of a mesh has a few files a peer; `Infinity` for no limit. */
export function judgeFileLimit(soft: number, hard: number): Finding {
  const name = "file limit";
  const found = `${text(soft)} open files a process`;
  if (soft >= 1_024) return ok(name, found);
  const fix =
    hard > soft
      ? `run \`ulimit -n ${hard === Number.POSITIVE_INFINITY ? 65536 : hard}\` in this shell`
      : "raise the limit of open files (LimitNOFILE, limits.conf)";
  return soft < 128
    ? fail(name, `${found}: too few for a mesh of any size`, fix)
    : warn(name, `${found}: few for a mesh of many agents`, fix);
}

/** `soorma dev` watches folders; what cannot be watched is not reloaded. */
export function judgeWatches(instances: number, watches: number): Finding {
  const name = "file watches";
  const found = `${watches} watches, ${instances} watchers a user`;
  if (watches >= 8_192 && instances >= 64) return ok(name, found);
  return warn(
    name,
    `${found}: saved files may not be noticed`,
    "sudo sysctl fs.inotify.max_user_watches=65536 fs.inotify.max_user_instances=512",
  );
}

export interface ClockFacts {
  /** What this process reads. */
  readonly nowMs: number;
  /** What the file system wrote onto a file made just now; undefined where none could be made. */
  readonly fileMs: number | undefined;
  /** Of soorma's own files: it cannot be earlier than that. */
  readonly installedMs: number;
  /** What the system says of its synchronisation; undefined where it does not. */
  readonly synchronized: boolean | undefined;
}

/** Deadlines and expiry times are moments, not durations. */
export function judgeClock({ nowMs, fileMs, installedMs, synchronized }: ClockFacts): Finding {
  const name = "clock";
  const set = "set the clock, or let the system do it: `timedatectl set-ntp true`";
  const now = new Date(nowMs).toISOString();
  if (nowMs < installedMs - 86_400_000) {
    return fail(
      name,
      `it says ${now}, which is before soorma was installed (${new Date(installedMs).toISOString()})`,
      set,
    );
  }
  const apart = fileMs === undefined ? 0 : Math.abs(nowMs - fileMs);
  if (apart > 2_000) {
    return warn(
      name,
      `files written now are dated ${Math.round(apart / 1000)} s off: two clocks are at work here`,
      set,
    );
  }
  if (synchronized === false) return warn(name, `${now}, not synchronised with any other`, set);
  return ok(name, now);
}

/** `sun_path` without its closing zero. */
const longestSocketPath = process.platform === "darwin" ? 103 : 107;
/** A slash, ten characters and an ending. */
const socketNameBytes = 13;

export function judgeSocketFolder(folder: string, limit = longestSocketPath): Finding {
  const bytes = Buffer.byteLength(folder) + socketNameBytes;
  if (bytes <= limit) return ok("socket path", `${bytes} of ${limit} bytes below ${folder}`);
  return fail(
    "socket path",
    `sockets below ${folder} would have paths of ${bytes} bytes, and the system takes ${limit}`,
    "set plugins.transport.options.dir to a shorter folder, or TMPDIR",
  );
}

/** @param type - As `statfs` numbers file systems: https://man7.org/linux/man-pages/man2/statfs.2.html */
export function judgeDisk(folder: string, freeBytes: number, type: number): Finding {
  const name = "disk";
  const remote = { 26985: "NFS", 4283649346: "CIFS", 4266872130: "SMB 2", 16914839: "9P (a Windows folder?)" }[type];
  const free = `${Math.floor(freeBytes / 1024 ** 2)} MiB free for ${folder}`;
  if (freeBytes < 1024 ** 2) return fail(name, free, "make room: memory and plans cannot be written");
  if (remote !== undefined) {
    return warn(name, `${folder} is on ${remote}, where LMDB is not safe`, "set mesh.dataFolder to a local folder");
  }
  if (freeBytes < 200 * 1024 ** 2) return warn(name, free, "make room before memory and plans need it");
  return ok(name, free);
}

function text(limit: number): string {
  return limit === Number.POSITIVE_INFINITY ? "unlimited" : String(limit);
}
