import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { AgentRecord, DirectoryChange, SchemaRecord } from "@soorma/core";

/** How many changes are kept for those who watch; whoever is further behind gets everything anew. */
const keptChanges = 10_000;

export type Tables = ReturnType<typeof openTables>;

/** The registry's tables in a SQLite file. All calls but `create`, `transaction` and `close` belong inside a transaction. */
export function openTables(file: string) {
  mkdirSync(dirname(file), { recursive: true });
  const db = new Database(file, { create: true, strict: true });
  const one = <R>(sql: string, ...values: (string | number)[]) => db.query<R, (string | number)[]>(sql).get(...values);
  const all = <R>(sql: string, ...values: (string | number)[]) => db.query<R, (string | number)[]>(sql).all(...values);
  const run = (sql: string, ...values: (string | number)[]) => db.query(sql).run(...values);

  /** Writes down what happened for those who watch; the row's number is the revision. */
  const log = (change: object): number => {
    const revision = Number(run("INSERT INTO changes (change) VALUES (?)", JSON.stringify(change)).lastInsertRowid);
    run("DELETE FROM changes WHERE revision <= ?", revision - keptChanges);
    return revision;
  };

  const transaction = <T>(body: () => T): T => db.transaction(body).immediate();

  return {
    /** Like everything here it fails while another process writes: see `isBusy`. */
    create(): void {
      // A directory of what runs now need not survive a power failure, and flushing each change would be slow.
      db.run("PRAGMA synchronous = OFF");
      transaction(() => {
        run("CREATE TABLE IF NOT EXISTS agents (id TEXT PRIMARY KEY, record TEXT, revision INTEGER, expires INTEGER)");
        run("CREATE TABLE IF NOT EXISTS changes (revision INTEGER PRIMARY KEY AUTOINCREMENT, change TEXT)");
        run("CREATE TABLE IF NOT EXISTS schemas (name TEXT, version TEXT, record TEXT, PRIMARY KEY (name, version))");
      });
    },
    transaction,
    isBusy: (error: unknown) =>
      error instanceof Error && "code" in error && /^SQLITE_(BUSY|LOCKED)/.test(`${error.code}`),
    agents: () =>
      all<{ record: string }>("SELECT record FROM agents").map(({ record }) => JSON.parse(record) as AgentRecord),
    expired: (nowMs: number) =>
      all<{ id: string }>("SELECT id FROM agents WHERE expires <= ?", nowMs).map(({ id }) => id),
    revision: () => one<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")?.seq ?? 0,

    /** Returns the revision that has the record in it. */
    put(record: AgentRecord, expiresAtMs: number): number {
      const text = JSON.stringify(record);
      const known = one<{ record: string; revision: number }>("SELECT * FROM agents WHERE id = ?", record.agentId);
      const isSame = known !== null && Bun.deepEquals(JSON.parse(known.record), record);
      const revision = isSame ? known.revision : log({ kind: known ? "changed" : "up", record });
      run("INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?)", record.agentId, text, revision, expiresAtMs);
      return revision;
    },
    renew: (agentId: string, expiresAtMs: number) =>
      run("UPDATE agents SET expires = ? WHERE id = ?", expiresAtMs, agentId).changes > 0,
    remove(agentId: string, reason: "left" | "expired"): void {
      if (run("DELETE FROM agents WHERE id = ?", agentId).changes > 0) log({ kind: "down", agentId, reason });
    },

    /** Whether all changes after a revision are still known. */
    remembers: (revision: number) =>
      (one<{ least: number }>("SELECT min(revision) AS least FROM changes")?.least ?? 0) <= revision + 1,
    changesAfter: (revision: number) =>
      all<{ revision: number; change: string }>(
        "SELECT * FROM changes WHERE revision > ? ORDER BY revision",
        revision,
      ).map((row) => ({ revision: row.revision, ...JSON.parse(row.change) }) as DirectoryChange),

    putSchema: (schema: SchemaRecord) =>
      void run("INSERT OR REPLACE INTO schemas VALUES (?, ?, ?)", schema.name, schema.version, JSON.stringify(schema)),
    schemas(): Map<string, Map<string, SchemaRecord>> {
      const byName = new Map<string, Map<string, SchemaRecord>>();
      for (const row of all<{ record: string }>("SELECT record FROM schemas")) {
        const schema = JSON.parse(row.record) as SchemaRecord;
        byName.set(schema.name, (byName.get(schema.name) ?? new Map()).set(schema.version, schema));
      }
      return byName;
    },
    close: () => db.close(),
  };
}
