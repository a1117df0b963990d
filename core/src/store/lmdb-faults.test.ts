import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "../../testing/wait-for.ts";
import { type ErrorCode, isSoormaError, type SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { createMemoryStore } from "../memory/memory-store.ts";
import { systemRuntime } from "../runtime.ts";
import { openLmdbStore } from "./lmdb.ts";
import type { Store } from "./store.ts";

const root = mkdtempSync(join(tmpdir(), "soorma-faults-"));
let folders = 0;
const folder = (): string => {
  const path = join(root, String(folders++));
  mkdirSync(path);
  return path;
};
afterAll(() => rmSync(root, { recursive: true, force: true }));

const open = (path: string, mapSizeBytes?: number): Promise<Store> =>
  openLmdbStore({
    path,
    runtime: systemRuntime,
    log: silentLogger,
    ...(mapSizeBytes === undefined ? {} : { mapSizeBytes }),
  });

async function failure(attempt: Promise<unknown>): Promise<SoormaError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

async function expectCode(attempt: Promise<unknown>, code: ErrorCode, path: string): Promise<SoormaError> {
  const error = await failure(attempt);
  expect(error.code).toBe(code);
  expect(error.message).toContain(path);
  expect(error.hint).toBeString();
  return error;
}

/** Code that a child process runs with `open(path, limit)` and `say(line)` in scope. */
function child(code: string, ...args: string[]): ReturnType<typeof Bun.spawn<"pipe", "pipe", "pipe">> {
  const here = import.meta.dir;
  const prelude = `
    import { openLmdbStore } from ${JSON.stringify(join(here, "lmdb.ts"))};
    import { systemRuntime } from ${JSON.stringify(join(here, "../runtime.ts"))};
    import { silentLogger } from ${JSON.stringify(join(here, "../log.ts"))};
    import { writeSync } from "node:fs";
    const open = (path, mapSizeBytes, journalBytes) => openLmdbStore({ path, mapSizeBytes, journalBytes, runtime: systemRuntime, log: silentLogger });
    const say = (line) => writeSync(1, line + "\\n");
    const args = process.argv.slice(1);
  `;
  return Bun.spawn([process.execPath, "-e", prelude + code, ...args], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
    cwd: here,
  });
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) {
    text += Buffer.from(chunk).toString();
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error(`the child ended after ${JSON.stringify(text)}`);
}

async function seeded(): Promise<string> {
  const path = folder();
  const store = await open(path);
  for (let round = 0; round < 3; round++) {
    await store.transact((tx) => {
      for (let i = 0; i < 500; i++) tx.put(["n", i], { i, round, text: "x".repeat(200) });
    });
  }
  await store.close();
  return path;
}

describe("one owner", () => {
  test("a second process is told the first one's pid, and gets the folder once that one is killed", async () => {
    const path = folder();
    const owner = child(
      `await open(args[0]); say("open"); await new Promise(() => setInterval(() => {}, 1000));`,
      path,
    );
    expect(await firstLine(owner.stdout)).toBe("open");
    const error = await expectCode(open(path), "STORE_LOCKED", path);
    expect(error.message).toContain(String(owner.pid));
    expect(error.details).toMatchObject({ pid: owner.pid, path: join(path, "owner.lock") });
    owner.kill("SIGKILL");
    await owner.exited;
    await using store = await open(path);
    await store.transact((tx) => tx.put(["a"], 1));
  });

  test("one process opens a folder once, and again after closing", async () => {
    const path = folder();
    const store = await open(path);
    const error = await expectCode(open(path), "STORE_LOCKED", path);
    expect(error.details).toMatchObject({ pid: process.pid });
    await store.close();
    expect(existsSync(join(path, "owner.lock"))).toBe(false);
    await (await open(path)).close();
  });

  test("a lock of a pid that now belongs to another process is taken over", async () => {
    const path = folder();
    writeFileSync(
      join(path, "owner.lock"),
      JSON.stringify({ pid: process.pid, startedAt: "another boot/1", host: "x" }),
    );
    await (await open(path)).close();
  });

  test.if(process.platform === "linux")(
    "a lock of a process that ended is taken over, also while its parent did not look after it",
    async () => {
      const path = folder();
      // The shell becomes a program that waits for no child: what it started, and ends then, stays in the process table.
      const parent = Bun.spawn(["/bin/sh", "-c", "exec 3<&0; cat <&3 >/dev/null & echo $!; exec sleep 60"], {
        stdin: "pipe",
        stdout: "pipe",
      });
      const pid = Number(await firstLine(parent.stdout));
      await waitFor(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8").trim() === "sleep");
      parent.stdin.end();
      await waitFor(() => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.startsWith("Z") === true);
      for (const startedAt of ["", "some boot/1"]) {
        writeFileSync(join(path, "owner.lock"), JSON.stringify({ pid, startedAt, host: "x" }));
        await (await open(path)).close();
      }
      parent.kill("SIGKILL");
      await parent.exited;
    },
  );

  test("a lock that says nothing readable is taken over", async () => {
    for (const text of ["", "garbage", "{}", '{"pid":"x"}', '{"pid":-1}', "null"]) {
      const path = folder();
      writeFileSync(join(path, "owner.lock"), text);
      await (await open(path)).close();
    }
  });

  test("of many that find a stale lock at the same time exactly one gets it, and nothing is left behind", async () => {
    const path = folder();
    writeFileSync(join(path, "owner.lock"), JSON.stringify({ pid: 2 ** 22 + 1, startedAt: "", host: "x" }));
    const racers = Array.from({ length: 6 }, () =>
      child(
        `say("ready"); await Bun.stdin.text();
         try { const s = await open(args[0]); say("won"); await new Promise(() => setInterval(() => {}, 1000)); }
         catch (error) { say(error.code); }`,
        path,
      ),
    );
    const outcomes = await Promise.all(
      racers.map(async (racer) => {
        let text = "";
        for await (const chunk of racer.stdout) {
          const before = text;
          text += Buffer.from(chunk).toString();
          if (before === "" && text.startsWith("ready")) racer.stdin.end();
          if (text.split("\n").length > 2) break;
        }
        return text.split("\n")[1];
      }),
    );
    for (const racer of racers) racer.kill("SIGKILL");
    await Promise.all(racers.map((racer) => racer.exited));
    expect(outcomes.toSorted()).toEqual([...Array(5).fill("STORE_LOCKED"), "won"]);
    await (await open(path)).close();
    expect(readdirSync(path).toSorted()).toEqual(["data.mdb", "lock.mdb"]);
  }, 30_000);
});

describe("a folder that cannot be used", () => {
  test("a file in the way of the folder, or of its parent, is named", async () => {
    const file = join(folder(), "file");
    writeFileSync(file, "x");
    await expectCode(open(file), "STORE_READ_ONLY", file);
    await expectCode(open(join(file, "below")), "STORE_READ_ONLY", file);
  });

  test("a folder of another user is read-only, and nothing is made in it", async () => {
    const path = folder();
    chmodSync(root, 0o755);
    chmodSync(path, 0o555);
    // Root may write anywhere, so the child becomes somebody else once its code is loaded.
    const process_ = child(
      `await import("lmdb"); if (process.getuid() === 0) process.setuid(65534);
       try { await open(args[0]); say("opened"); } catch (error) { say(error.code + " " + error.message); }`,
      path,
    );
    expect(await firstLine(process_.stdout)).toStartWith("STORE_READ_ONLY the store's folder ");
    expect(await process_.exited).toBe(0);
    expect(readdirSync(path)).toEqual([]);
  });

  test("a data file of another user is read-only", async () => {
    const path = await seeded();
    chmodSync(path, 0o777);
    chmodSync(join(path, "data.mdb"), 0o444);
    const process_ = child(
      `await import("lmdb"); if (process.getuid() === 0) process.setuid(65534);
       try { await open(args[0]); say("opened"); } catch (error) { say(error.code); }`,
      path,
    );
    expect(await firstLine(process_.stdout)).toBe("STORE_READ_ONLY");
    expect(await process_.exited).toBe(0);
    expect(existsSync(join(path, "owner.lock"))).toBe(false);
  });
});

test("a folder that is gone by the time a journal is made is an error with a hint, ends no process, and the store closes", async () => {
  const running = child(
    `import { rmSync } from "node:fs";
     const store = await open(args[0]);
     for (let n = 0; n < 15; n++) await store.transact((tx) => tx.put(["n"], n));
     rmSync(args[0], { recursive: true });
     await store.transact((tx) => tx.put(["n"], 15)).catch(({ code, hint }) => say(code + " " + typeof hint));
     await store.close();
     say("closed");`,
    folder(),
  );
  const said = await new Response(running.stdout).text();
  expect([said, await running.exited]).toEqual(["STORE_FAILED string\nclosed\n", 0]);
});

describe("a damaged file", () => {
  test("is refused whatever it holds, ends no process, and keeps no lock", async () => {
    const good = readFileSync(join(await seeded(), "data.mdb"));
    const zeroed = (from: number, to: number): Buffer => Buffer.from(good).fill(0, from, to);
    const cases: Readonly<Record<string, Buffer>> = {
      garbage: Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 7919) % 251)),
      text: Buffer.from("hello, this is no database\n".repeat(1000)),
      "one byte": good.subarray(0, 1),
      "one page": good.subarray(0, 4096),
      "two pages": good.subarray(0, 8192),
      half: good.subarray(0, Math.floor(good.length / 2)),
      "all but the end": good.subarray(0, Math.floor(good.length * 0.6)),
      "no first page": zeroed(0, 4096),
      "no second page": zeroed(4096, 8192),
      "root beyond the end": (() => {
        const copy = Buffer.from(good);
        for (const page of [0, 4096]) copy.writeBigUInt64LE(1n << 40n, page + 136);
        return copy;
      })(),
    };
    const paths = Object.entries(cases).map(([name, bytes]) => {
      const path = folder();
      writeFileSync(join(path, "data.mdb"), bytes);
      return { name, path };
    });
    // In a child: what this guards against is a signal that would end this process.
    const judge = child(
      `for (const path of args) try { await open(path); say("opened"); } catch (error) { say(error.code); }`,
      ...paths.map(({ path }) => path),
    );
    const lines = (await new Response(judge.stdout).text()).trim().split("\n");
    expect(await judge.exited).toBe(0);
    expect(Object.fromEntries(paths.map(({ name }, i) => [name, lines[i]]))).toEqual(
      Object.fromEntries(Object.keys(cases).map((name) => [name, "STORE_CORRUPT"])),
    );
    for (const { path } of paths) expect(existsSync(join(path, "owner.lock"))).toBe(false);
  });

  test("names the file and leaves it as it was", async () => {
    const path = folder();
    const data = join(path, "data.mdb");
    writeFileSync(data, "no database");
    await expectCode(open(path), "STORE_CORRUPT", data);
    expect(readFileSync(data, "utf8")).toBe("no database");
  });

  test("an empty data file, as a crash at the first start leaves it, is begun anew", async () => {
    const path = folder();
    writeFileSync(join(path, "data.mdb"), "");
    await using store = await open(path);
    await store.transact((tx) => tx.put(["a"], 1));
    expect(store.get<number>(["a"])).toBe(1);
  });

  test("a whole file is not mistaken for a damaged one, with free pages at its end or not", async () => {
    const path = folder();
    for (let round = 0; round < 12; round++) {
      const store = await open(path);
      await store.transact((tx) => {
        for (let i = 0; i < 40; i++) {
          if ((i + round) % 3 === 0) tx.delete(["n", i]);
          else tx.put(["n", i], "x".repeat(((i * 977 + round * 4099) % 12) * 1500));
        }
      });
      await store.close();
    }
    const copy = folder();
    copyFileSync(join(path, "data.mdb"), join(copy, "data.mdb"));
    await using store = await open(copy);
    expect(Array.from(store.range({ prefix: ["n"] })).length).toBeGreaterThan(20);
  });
});

describe("no room", () => {
  const fill = async (store: Store): Promise<{ error: SoormaError; written: number }> => {
    for (let i = 0; i < 10_000; i++) {
      const attempt = store.transact((tx) => tx.put(["n", i], "x".repeat(10_000)));
      const error = await attempt.then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      if (isSoormaError(error)) return { error, written: i };
    }
    throw new Error("it never filled up");
  };

  test("the size limit is named, what was acknowledged stays, and deleting makes room", async () => {
    const path = folder();
    await using store = await open(path, 1_000_000);
    const { error, written } = await fill(store);
    expect(error.code).toBe("STORE_FULL");
    expect(error.message).toContain("1000000 bytes");
    expect(error.message).toContain(path);
    expect(written).toBeGreaterThan(50);
    expect(Array.from(store.range({ prefix: ["n"] }))).toHaveLength(written);
    await store.transact((tx) => {
      for (let i = 0; i < 20; i++) tx.delete(["n", i]);
    });
    await store.transact((tx) => tx.put(["n", 0], "x".repeat(10_000)));
    expect(store.get<string>(["n", 0])).toHaveLength(10_000);
  });

  const disk = join(root, "disk");
  mkdirSync(disk);
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).exitCode === 0;
  afterAll(() => {
    if (mounted) Bun.spawnSync(["umount", disk]);
  });

  // Needs the right to mount a small disk; the size limit above is tested everywhere.
  describe.skipIf(!mounted).each([0, 256 * 1024])("a full disk, with a journal of %d bytes,", (journalBytes) => {
    test("is named, what was acknowledged is there after reopening, and deleting makes room", async () => {
      const path = join(disk, String(journalBytes));
      const script = child(
        `const reopen = () => open(args[0], undefined, Number(args[1]));
       const journalBytes = () => require("node:fs").statSync(args[0] + "/journal", { throwIfNoEntry: false })?.size ?? 0;
       let store = await reopen(); let n = 0;
       // It is made after some commits, and needs room itself.
       while (journalBytes() < Number(args[1])) await store.transact((tx) => tx.put(["first"], n));
       try { for (;; n++) {
         await store.transact((tx) => tx.put(["n", n], "x".repeat(10_000)));
         await new Promise((resolve) => setImmediate(resolve));
       } }
       catch (error) { say(n + " " + error.code); }
       say(journalBytes() > 0);
       await store.close();
       store = await reopen();
       say(Array.from(store.range({ prefix: ["n"] })).length);
       await store.transact((tx) => { for (let i = 0; i < n; i++) if (i !== 3) tx.delete(["n", i]); });
       say(Array.from(store.range({ prefix: ["n"] }), ({ key }) => key[1]).join());
       await store.close();`,
        path,
        String(journalBytes),
      );
      const [first, hasJournal, second, third] = (await new Response(script.stdout).text()).trim().split("\n");
      expect(await script.exited).toBe(0);
      expect(first).toEndWith(" STORE_FULL");
      expect(Number.parseInt(first ?? "", 10)).toBeGreaterThan(50);
      expect(second).toBe(String(Number.parseInt(first ?? "", 10)));
      expect(third).toBe("3");
      expect(hasJournal).toBe(String(journalBytes > 0));
      rmSync(path, { recursive: true });
    });
  });

  test("memory's entries are deleted, and swept when their time is over, though that has to be noted", async () => {
    await using store = await openLmdbStore({
      path: folder(),
      runtime: systemRuntime,
      log: silentLogger,
      mapSizeBytes: 400_000,
      journalBytes: 0,
    });
    let lateMs = 0;
    const runtime = { ...systemRuntime, now: () => systemRuntime.now() + lateMs };
    await using memory = createMemoryStore({ store, runtime, log: silentLogger, sweepMs: 3_600_000 });
    let n = 0;
    const storeNext = (size: number): Promise<unknown> =>
      memory.store("t", `k${n}`, "x".repeat(size), { operationId: `o${n}`, ...(n % 2 === 1 ? { ttlMs: 60_000 } : {}) });
    for (const size of [20_000, 2_000, 200, 1]) {
      for (let isFull = false; !isFull; n++) {
        isFull = await storeNext(size).then(
          () => false,
          (error) => isSoormaError(error, "STORE_FULL"),
        );
      }
    }
    await memory.delete("t", "k0", { operationId: "d0" });
    lateMs = 120_000;
    expect(await memory.sweep()).toBeGreaterThan(0);
    await storeNext(20_000);
  });
});

describe("crashes", () => {
  // With a journal that is full again and again, with one that is not, and with none.
  test.each([32 * 1024, 8 * 1024 * 1024, 0])(
    "every write acknowledged before a SIGKILL is there afterwards, and no transaction in part (journal of %d bytes)",
    async (journalBytes) => {
      const path = folder();
      const acknowledged = new Set<string>();
      for (let life = 0; life < 4; life++) {
        const writer = child(
          `const store = await open(args[0], undefined, Number(args[2])); const life = Number(args[1]);
         let n = 0;
         const work = async (w) => { for (;;) { const i = n++;
           await store.transact((tx) => { tx.put(["left", life, i], { i, pad: "x".repeat(i % 3000) }); tx.put(["right", life, i], i); });
           say(life + "/" + i); } };
         await Promise.all(Array.from({ length: 20 }, (_, w) => work(w)));`,
          path,
          String(life),
          String(journalBytes),
        );
        const enough = 1 + ((life * 7919) % 900);
        let text = "";
        let seen = 0;
        for await (const chunk of writer.stdout) {
          const part = Buffer.from(chunk).toString();
          text += part;
          seen += part.split("\n").length - 1;
          if (seen >= enough) writer.kill("SIGKILL");
        }
        await writer.exited;
        expect(writer.signalCode).toBe("SIGKILL");
        // A line cut short by the kill was not read by anyone.
        for (const line of text.slice(0, text.lastIndexOf("\n")).split("\n")) acknowledged.add(line);

        const store = await open(path);
        const left = new Set(Array.from(store.range({ prefix: ["left"] }), ({ key }) => `${key[1]}/${key[2]}`));
        const right = new Set(Array.from(store.range({ prefix: ["right"] }), ({ key }) => `${key[1]}/${key[2]}`));
        await store.close();
        expect(Array.from(acknowledged).filter((id) => !left.has(id))).toEqual([]);
        expect(left).toEqual(right);
      }
      expect(acknowledged.size).toBeGreaterThan(100);
    },
    60_000,
  );
});
