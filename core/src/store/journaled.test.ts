import { afterAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { waitFor } from "../../testing/wait-for.ts";
import { isSoormaError, SoormaError } from "../errors.ts";
import { type Runtime, systemRuntime } from "../runtime.ts";
import { type Base, CommitRefused, type Writes } from "./engine.ts";
import { readJournal } from "./journal.ts";
import { type JournaledBase, journaled, markKey, replayJournal } from "./journaled.ts";

const root = mkdtempSync(join(tmpdir(), "soorma-journal-"));
let files = 0;
const newFile = (): string => join(root, String(files++));
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Bytes = Map<string, Uint8Array>;

/** A base in memory whose room and failures are the test's to say. */
class FakeBase implements JournaledBase {
  commits = 0;
  isFull = false;
  hasRoomNow = true;
  readonly data: Bytes;

  constructor(data: Bytes = new Map()) {
    this.data = new Map(data);
  }

  get(key: string): Uint8Array | undefined {
    return this.data.get(key);
  }

  *range(low: string, high: string, reverse: boolean): Generator<readonly [string, Uint8Array]> {
    const entries = [...this.data].filter(([key]) => key >= low && key < high).sort(([a], [b]) => (a < b ? -1 : 1));
    yield* reverse ? entries.reverse() : entries;
  }

  hasRoom(): boolean {
    return this.hasRoomNow;
  }

  hasRoomFor(): boolean {
    return true;
  }

  async commit(writes: Writes): Promise<void> {
    if (this.isFull) throw new CommitRefused("full", { cause: new SoormaError("STORE_FULL", "no room") });
    this.commits++;
    for (const [key, value] of writes) {
      if (value) this.data.set(key, value);
      else this.data.delete(key);
    }
  }

  commitAcknowledged(writes: Writes): Promise<void> {
    return this.commit(writes);
  }

  async close(): Promise<void> {}
}

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));
const put = (key: string, value: string): Writes => new Map([[key, text(value)]]);

/** A base whose journal is in use, as far as `journalBytes` says. */
async function inUse(
  base: FakeBase,
  path: string,
  bytes = 8192,
  runtime: Runtime = systemRuntime,
): Promise<{ store: Base; log: ReturnType<typeof collectingLogger> }> {
  const log = collectingLogger();
  const store = journaled(base, { path, bytes, runtime, log });
  await waitFor(async () => {
    await store.commit(new Map([["none", null]]));
    return log.events().includes("journal.opened");
  });
  return { store, log };
}

/** By this clock everything takes 10 ms. */
function slowDisk(): Runtime {
  let now = 0;
  return { ...systemRuntime, monotonic: () => (now += 10) };
}

/** What a process finds that starts after this moment's crash. */
async function afterCrash(base: FakeBase, path: string, change = (journal: Buffer): Buffer => journal): Promise<Bytes> {
  const copy = newFile();
  writeFileSync(copy, change(readFileSync(path)));
  const found = new FakeBase(base.data);
  await replayJournal(found, copy);
  expect(existsSync(copy)).toBe(false);
  return contents(found);
}

function contents(base: Base): Bytes {
  const all: Bytes = new Map();
  const entries = base.range("", "\xff", false);
  for (let step = entries.next(); !step.done; step = entries.next()) all.set(step.value[0], step.value[1]);
  return all;
}

const plain = (bytes: Bytes): Record<string, string> =>
  Object.fromEntries([...bytes].map(([key, value]) => [key, Buffer.from(value).toString("base64")]).sort());

/** Where the last whole record of a journal begins and ends. */
function lastRecord(path: string, salt: number): { at: number; end: number } {
  const file = readFileSync(path);
  const last = readJournal(path, salt).at(-1)?.sequence ?? 0;
  const halfBytes = file.readUInt32LE(8);
  for (const half of [4096, 4096 + halfBytes]) {
    for (let at = half; at < half + halfBytes && file.readUInt32LE(at + 4) > 0; ) {
      const end = at + 16 + file.readUInt32LE(at + 4);
      if (file.readDoubleLE(at + 8) === last) return { at, end };
      at = end;
    }
  }
  throw new Error("no record");
}

const saltOf = (base: FakeBase): number => Buffer.from(base.data.get(markKey) ?? []).readUInt32LE(0);

describe("a base with a journal", () => {
  test.each([
    ["fast", systemRuntime],
    ["slow", slowDisk()],
  ])(
    "on a %s disk has after a crash at any time what was committed, whatever was overwritten, deleted, large or on its way",
    async (_, runtime) => {
      const { random } = fakeRuntime({ seed: 7 });
      const below = (n: number): number => Math.floor(random() * n);
      const base = new FakeBase();
      const path = newFile();
      const { store } = await inUse(base, path, 32 * 1024, runtime);
      const model: Bytes = new Map();
      let journaledOnly = 0;
      for (let n = 0; n < 1_500; n++) {
        const writes = new Map<string, Uint8Array | null>();
        for (let i = below(9) === 0 ? 200 : 1 + below(4); i > 0; i--) {
          const size = below(100) === 0 ? 20_000 : below(60);
          writes.set(`key${below(300)}`, below(4) === 0 ? null : new Uint8Array(size).fill(n));
        }
        base.hasRoomNow = below(50) > 0;
        const before = base.commits;
        await store.commit(writes);
        if (base.commits === before) journaledOnly++;
        for (const [key, value] of writes) {
          if (value) model.set(key, value);
          else model.delete(key);
        }
        // Some time for what goes on in the background: none, or several turns.
        for (let turns = below(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
        if (n % 7 === 0) expect(plain(contents(store))).toEqual(plain(model));
        if (n % 5 === 0) expect(plain(await afterCrash(base, path))).toEqual(plain(model));
        const key = `key${below(300)}`;
        expect(store.get(key)).toEqual(model.get(key));
      }
      expect(journaledOnly).toBeGreaterThan(500);
      await store.close();
      expect(plain(contents(base))).toEqual(plain(model));
      expect(existsSync(path)).toBe(false);
    },
  );

  test("has nothing of a record that was not written to its end, and everything before it", async () => {
    const base = new FakeBase();
    const path = newFile();
    const { store } = await inUse(base, path);
    await store.commit(put("a", "first"));
    await store.commit(new Map([...put("a", "second"), ...put("b", "second")]));
    const { at, end } = lastRecord(path, saltOf(base));
    for (let cut = at; cut < end; cut++) {
      const torn = (file: Buffer): Buffer =>
        Buffer.concat([file.subarray(0, cut), Buffer.alloc(end - cut, 0xee), file.subarray(end)]);
      expect(plain(await afterCrash(base, path, torn))).toEqual(plain(new Map([["a", text("first")]])));
      expect(plain(await afterCrash(base, path, (file) => file.subarray(0, cut)))).toEqual(
        plain(new Map([["a", text("first")]])),
      );
    }
    expect(plain(await afterCrash(base, path))).toEqual(
      plain(
        new Map([
          ["a", text("second")],
          ["b", text("second")],
        ]),
      ),
    );
    await store.close();
  });

  test("with records missing in the middle is refused as damaged, and the journal is kept", async () => {
    const base = new FakeBase();
    const path = newFile();
    const { store } = await inUse(base, path);
    // So much that it goes on in the other half, and nothing reaches the base.
    base.isFull = true;
    for (let n = 0; n < 25; n++) await store.commit(put(`k${n}`, "x".repeat(200)));
    const file = readFileSync(path);
    const first = readJournal(path, saltOf(base))[3];
    const at = file.indexOf(Buffer.from([...(first?.writes.keys() ?? [])][0] ?? "", "latin1"));
    file[at] = 0;
    const copy = newFile();
    writeFileSync(copy, file);
    const error = await replayJournal(new FakeBase(base.data), copy).catch((thrown: unknown) => thrown);
    expect(isSoormaError(error, "STORE_CORRUPT")).toBe(true);
    expect(String(error)).toContain(copy);
    expect(existsSync(copy)).toBe(true);
    base.isFull = false;
    await store.close();
    expect(base.data.size).toBe(26);
  });

  test("of another store is not read", async () => {
    const [one, other] = [new FakeBase(), new FakeBase()];
    const path = newFile();
    const { store } = await inUse(one, path);
    await store.commit(put("a", "of one"));
    expect(plain(await afterCrash(other, path))).toEqual({});
    const second = await inUse(other, newFile());
    expect(plain(await afterCrash(other, path))).toEqual({});
    for (const base of [store, second.store]) await base.close();
  });

  test("refuses when both are full, loses nothing of before, and goes on when there is room", async () => {
    const base = new FakeBase();
    const path = newFile();
    const { store } = await inUse(base, path);
    base.isFull = true;
    const kept: string[] = [];
    let refused: unknown;
    for (let n = 0; n < 200 && !refused; n++) {
      await store.commit(put(`k${n}`, "x".repeat(200))).then(
        () => kept.push(`k${n}`),
        (error: unknown) => {
          refused = error;
        },
      );
    }
    expect(refused).toBeInstanceOf(CommitRefused);
    expect(kept.length).toBeGreaterThan(20);
    expect([...contents(store).keys()].sort()).toEqual(kept.toSorted());
    expect([...(await afterCrash(base, path)).keys()].sort()).toEqual(kept.toSorted());
    base.isFull = false;
    await store.commit(put("then", "x"));
    await store.close();
    expect([...contents(base).keys()].sort()).toEqual([...kept, "then"].sort());
  });

  test("that is full when it is closed leaves the journal to the next one", async () => {
    const base = new FakeBase();
    const path = newFile();
    const { store } = await inUse(base, path);
    await store.commit(put("a", "x"));
    base.isFull = true;
    await store.close();
    expect(contents(base).size).toBe(0);
    base.isFull = false;
    expect([...(await afterCrash(base, path)).keys()]).toEqual(["a"]);
  });

  test.if(process.platform === "linux")("goes on without a journal that cannot be written any more", async () => {
    const base = new FakeBase();
    const path = newFile();
    const { store, log } = await inUse(base, path);
    await store.commit(put("a", "1"));
    const fd = readdirSync("/proc/self/fd").find((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`) === path;
      } catch {
        return false;
      }
    });
    closeSync(Number(fd));
    await store.commit(put("b", "2"));
    await store.commit(put("a", "3"));
    expect(log.events().includes("journal.failed")).toBe(true);
    expect(plain(await afterCrash(base, path))).toEqual(
      plain(
        new Map([
          ["a", text("3")],
          ["b", text("2")],
        ]),
      ),
    );
    expect(plain(contents(store))).toEqual(plain(contents(base)));
    await store.close();
  });

  test("gives the base what the journal alone has after a second", async () => {
    const base = new FakeBase();
    const { store } = await inUse(base, newFile());
    await store.commit(put("a", "x"));
    expect(base.data.has("a")).toBe(false);
    await waitFor(() => base.data.has("a"));
    await store.close();
  });

  test("gives the base what it refused once when there is room, without another commit", async () => {
    const base = new FakeBase();
    const { store, log } = await inUse(base, newFile());
    await store.commit(put("a", "x"));
    base.isFull = true;
    await waitFor(() => log.events().includes("journal.kept"));
    base.isFull = false;
    await waitFor(() => base.data.has("a"));
    await store.close();
  });
});
