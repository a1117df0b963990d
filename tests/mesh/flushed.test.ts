import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface SystemCall {
  readonly name: string;
  readonly args: string;
  /** Places in the order of what happened: when it began, and when it returned. */
  readonly began: number;
  ended: number;
}

/** The calls in strace's output. One that another thread's came in between of is written in two parts. */
function readTrace(text: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, SystemCall>();
  for (const [i, line] of text.split("\n").entries()) {
    const resumed = /^(\d+) +<\.\.\. (\w+) resumed>/.exec(line);
    if (resumed) {
      const call = unfinished.get(`${resumed[1]} ${resumed[2]}`);
      if (call) call.ended = i;
      continue;
    }
    const begun = /^(\d+) +(\w+)\((.*)$/.exec(line);
    if (!begun) continue;
    const [, thread = "", name = "", args = ""] = begun;
    const call: SystemCall = { name, args, began: i, ended: i };
    calls.push(call);
    if (args.endsWith("<unfinished ...>")) {
      call.ended = Number.POSITIVE_INFINITY;
      unfinished.set(`${thread} ${name}`, call);
    }
  }
  return calls;
}

/** Some containers have the program and forbid what it does: a skip then, and counted, too. */
const canTrace = Bun.which("strace") !== null && Bun.spawnSync(["strace", "-o", "/dev/null", "true"]).success;

test.skipIf(!canTrace)(
  "whatever is acknowledged was flushed to disk before: steps, memory, goals, results",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "soorma-flushed-"));
    try {
      const goals = 20;
      const trace = join(folder, "trace");
      const fixture = join(import.meta.dir, "fixtures", "acknowledged-steps.ts");
      const child = Bun.spawn(
        [
          "strace",
          "-f",
          "-s",
          "1000000",
          "-e",
          "trace=openat,write,writev,pwrite64,pwritev,fdatasync,fsync,msync",
          "-o",
          trace,
        ].concat([process.execPath, fixture, join(folder, "data"), String(goals)]),
        { stdout: "pipe", stderr: "pipe" },
      );
      const [said, complained] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      expect([complained, await child.exited]).toEqual(["", 0]);
      const told = said.split("\n").filter((line) => line !== "");
      expect(told.length).toBe(goals * 6);

      const calls = readTrace(await Bun.file(trace).text());
      const opened = (file: string) =>
        calls.filter(({ name, args }) => name === "openat" && args.includes(`/data/${file}"`));
      const descriptors = (file: string, direct: boolean): string[] =>
        opened(file)
          .filter(({ args }) => args.includes("O_DSYNC") === direct)
          .flatMap(({ args }) => /= (\d+)$/.exec(args)?.[1] ?? []);
      const [pages, metas] = [descriptors("data.mdb", false), descriptors("data.mdb", true)];
      const journal = descriptors("journal", true);
      const on = (fds: readonly string[], { args }: SystemCall): boolean => fds.includes(/^\d+/.exec(args)?.[0] ?? "");
      const isWrite = (call: SystemCall): boolean => /^p?writev?(64)?$/.test(call.name);
      const writes = calls.filter((call) => isWrite(call) && on(pages, call));
      const flushes = calls.filter((call) => call.name === "fdatasync" && on(pages, call));
      // The page that makes a commit the current one goes to a descriptor whose writes are flushes.
      const commits = calls.filter((call) => call.name === "pwrite64" && on(metas, call));
      // So does a record of the journal; what its file was filled with before went to another one.
      const since =
        opened("journal").findLast(({ args }) => args.includes("O_DSYNC"))?.ended ?? Number.POSITIVE_INFINITY;
      const records = calls.filter((call) => isWrite(call) && on(journal, call) && call.began > since);
      let journaled = 0;
      const unflushed = told.filter((line) => {
        const marker = line.slice("acknowledged ".length);
        const tell = calls.find(({ name, args }) => name === "write" && args.startsWith(`1, "${line}\\n"`));
        if (!tell) return true;
        const record = records.find(({ args }) => args.includes(marker));
        if (record && record.ended < tell.began) {
          journaled++;
          return false;
        }
        const written = writes.find(({ args }) => args.includes(marker));
        const flush = flushes.find(({ began }) => began > (written?.ended ?? Number.POSITIVE_INFINITY));
        const commit = commits.find(({ began }) => began > (flush?.ended ?? Number.POSITIVE_INFINITY));
        return !commit || commit.ended >= tell.began;
      });
      expect(unflushed).toEqual([]);
      // Both ways were gone.
      if (process.platform === "linux") expect(journaled).toBeGreaterThanOrEqual(told.length / 2);
      expect(journaled).toBeLessThan(told.length);
      // They share flushes: with one each this would say nothing of many at a time.
      expect(flushes.length + records.length).toBeLessThan(told.length);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  60_000,
);
