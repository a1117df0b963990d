import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Finished, isAlive, soorma, startSoorma, tempFolder, until } from "./cli-run.ts";

let folder: ReturnType<typeof tempFolder>;
/** Where demos make their temporary projects: nothing may be left in it. */
let temp: string;

beforeAll(() => {
  temp = realpathSync(mkdtempSync(join(tmpdir(), "soorma-e2e-demo-")));
});
afterAll(() => rmSync(temp, { recursive: true, force: true }));
beforeEach(() => {
  folder = tempFolder();
});
afterEach(() => folder[Symbol.dispose]());

const patienceMs = 90_000;

interface DemoJson {
  readonly answer: string;
  readonly citations: readonly {
    readonly n: number;
    readonly file: string;
    readonly line: number;
    readonly quotes: readonly string[];
  }[];
  readonly read: { readonly files: number; readonly passages: number; readonly words: number };
  readonly unread: readonly { readonly file: string }[];
  readonly agents: readonly {
    readonly name: string;
    readonly kind: string;
    readonly pid: number;
    readonly tasks?: number;
  }[];
  readonly timings: Readonly<Record<string, number>>;
}

function write(path: string, text: string): void {
  mkdirSync(join(folder.path, path, ".."), { recursive: true });
  writeFileSync(join(folder.path, path), text);
}

/** Notes about as many subjects, one of which is bees. */
function writeNotes(files: number, paragraphs: number): void {
  for (let i = 0; i < files; i++) {
    const lines = Array.from({ length: paragraphs }, (_, j) => `## Part ${j}\n\nSubject ${i} has property ${i * j}.\n`);
    write(`notes/subject-${i}.md`, `# Subject ${i}\n\n${lines.join("\n")}`);
  }
  write("notes/bees.md", "# Bees\n\nBees live in hives.\n\n## Food\n\nBees make honey out of nectar.\n");
}

const demo = (args: readonly string[]): Promise<Finished> =>
  soorma(["demo", ...args], { cwd: folder.path, env: { TMPDIR: temp } });
const start = (args: readonly string[]): ReturnType<typeof startSoorma> =>
  startSoorma(["demo", ...args], { cwd: folder.path, env: { TMPDIR: temp } });

/** The processes of the demo that runs, as its supervisor last wrote them. */
function processesOf(): { name: string; pid: number }[] {
  for (const name of readdirSync(temp)) {
    try {
      const state = JSON.parse(readFileSync(join(temp, name, ".soorma/run/supervisor.json"), "utf8")) as {
        processes: { name: string; process?: { pid: number } }[];
      };
      return state.processes.flatMap(({ name, process }) => (process ? [{ name, pid: process.pid }] : []));
    } catch {
      // Not written yet, or being replaced.
    }
  }
  return [];
}

async function expectNothingLeft(processes: readonly { readonly pid: number }[]): Promise<void> {
  await until("every process to be gone", () => processes.every(({ pid }) => !isAlive(pid)));
  expect(readdirSync(temp)).toEqual([]);
}

test(
  "a folder's question is answered with the sentence that answers it, and everything is stopped",
  async () => {
    writeNotes(3, 2);
    symlinkSync("/nowhere/at/all", join(folder.path, "notes/gone.md"));
    const { stdout, stderr, exitCode } = await demo(["notes", "--question", "What do bees make?"]);
    expect(stdout).toContain("Bees make honey out of nectar. [1]");
    expect(stdout).toContain("[1] bees.md:7 — Bees › Food");
    expect(stdout).toMatch(/worker-1 +\d+ +\d+ tasks?/);
    expect(stdout).toMatch(/worker-2 +\d+ +\d+ tasks?/);
    expect(stdout).toMatch(/start-up .* total/);
    expect(stderr).toContain("1 file cannot be read; the answer goes without:\n  gone.md");
    // Off a terminal nothing is redrawn or coloured, and what agents log is nobody's business.
    expect(stdout + stderr).not.toContain("\x1b");
    expect(stderr).not.toContain("agent.ready");
    expect(exitCode).toBe(0);
    expect(readdirSync(temp)).toEqual([]);
  },
  patienceMs,
);

test(
  "Soorma's own documentation answers the default question, out of files and lines that say so",
  async () => {
    const { stdout, stderr, exitCode } = await demo(["--json"]);
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    const result = JSON.parse(stdout) as DemoJson;
    expect(result.answer).toMatch(/broker/i);
    expect(result.citations.length).toBeGreaterThan(0);
    const root = join(import.meta.dir, "..", "..");
    for (const { file, line, quotes } of result.citations) {
      const lines = readFileSync(join(root, file), "utf8").split("\n");
      const words = (text: string): string[] => text.match(/\p{L}{3,}/gu) ?? [];
      // The quote begins on that line.
      expect(words(lines.slice(line - 1, line + 2).join(" "))).toContain(words(quotes[0] ?? "")[0] ?? "");
    }
    const kinds = result.agents.map(({ kind }) => kind);
    expect(kinds).toEqual(["broker", "state", "planner", "worker", "worker", "tool"]);
    expect(new Set(result.agents.map(({ pid }) => pid)).size).toBe(6);
    expect(result.timings.totalMs).toBeGreaterThan(0);
    await expectNothingLeft(result.agents);
  },
  patienceMs,
);

test(
  "a worker that is killed in the middle costs no answer",
  async () => {
    writeNotes(60, 20);
    const child = start(["notes", "--question", "What do bees make?", "--json"]);
    const victim = await until("a worker", () => processesOf().find(({ name }) => name === "worker-1"));
    await until("the data to be there", () => {
      const [name = ""] = readdirSync(temp);
      // Passages are being stored: work is under way.
      return Bun.file(join(temp, name, ".soorma/data/data.mdb")).size > 300_000;
    });
    process.kill(victim.pid, "SIGKILL");
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    expect(stderr).toBe("");
    const { answer, read, agents } = JSON.parse(stdout) as DemoJson;
    expect(answer).toContain("Bees make honey out of nectar.");
    expect(read.files).toBe(61);
    // Each task is counted once: 61 files, two searches, the answer.
    expect(agents.reduce((sum, { tasks = 0 }) => sum + tasks, 0)).toBe(64);
    await expectNothingLeft(agents);
  },
  patienceMs,
);

test(
  "an agent that does not stay up ends the demo with what it said last, not with silence",
  async () => {
    writeNotes(60, 20);
    const child = start(["notes"]);
    const output = Promise.all([child.stdout.text(), child.stderr.text()]);
    const seen = new Map<number, string>();
    await until("the demo to end", () => {
      for (const { name, pid } of processesOf()) {
        seen.set(pid, name);
        if (name !== "tool" || !isAlive(pid)) continue;
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // It ended meanwhile.
        }
      }
      return child.exitCode !== null;
    });
    const [stdout, stderr] = await output;
    expect(stdout).toBe("");
    expect(stderr).toContain("last lines of tool:");
    expect(stderr).toMatch(/^error: .*tool/m);
    expect(child.exitCode).toBe(1);
    await expectNothingLeft([...seen.keys()].map((pid) => ({ pid })));
  },
  patienceMs,
);

test(
  "Ctrl-C ends everything at once, wherever it was",
  async () => {
    writeNotes(60, 20);
    for (const many of [1, 2, 6]) {
      const child = start(["notes"]);
      const processes = await until(`${many} processes`, () => {
        const found = processesOf();
        return found.length >= many ? found : undefined;
      });
      child.kill("SIGINT");
      const [stderr] = await Promise.all([child.stderr.text(), child.exited]);
      expect(child.exitCode).toBe(130);
      expect(stderr).toContain("interrupted");
      await expectNothingLeft(processes);
    }
  },
  patienceMs,
);

test(
  "what takes too long is given up with a word on how far it was",
  async () => {
    writeNotes(60, 20);
    const { stdout, stderr, exitCode } = await demo(["notes", "--timeout", "0.2"]);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/the demo was not done within 0\.2 s: .*\[TIMEOUT\]/);
    expect(exitCode).toBe(1);
    expect(readdirSync(temp)).toEqual([]);
  },
  patienceMs,
);

test(
  "--keep leaves the temporary project with its logs",
  async () => {
    writeNotes(1, 1);
    const { stderr, exitCode } = await demo(["notes", "--keep"]);
    expect(exitCode).toBe(0);
    const kept = /kept in (\S+)/.exec(stderr)?.[1] ?? "";
    expect(readFileSync(join(kept, ".soorma/logs/mesh.jsonl"), "utf8")).toContain("agent.ready");
    rmSync(kept, { recursive: true });
  },
  patienceMs,
);

test("what is wrong with the folder or the question is said before anything is started", async () => {
  write("file.md", "# A file");
  mkdirSync(join(folder.path, "empty"));
  mkdirSync(join(folder.path, "broken"));
  symlinkSync("/nowhere/at/all", join(folder.path, "broken/gone.md"));
  const cases = [
    [["nope"], 1, "there is no folder"],
    [["file.md"], 1, "is a file, not a folder"],
    [["empty"], 1, "has no Markdown or text files to read"],
    [["broken"], 1, "can be read [DOCUMENTS_UNREADABLE]:\n  gone.md: a link to something that is not there"],
    [[".", "--question", "  "], 2, "the question is empty"],
    [[".", "--question", "what is it?"], 2, "there is no word to search for"],
    [[".", "--workers", "9"], 2, "9 is no number of workers: 1 to 8"],
    [[".", "--timeout", "soon"], 2, "soon is no number of seconds"],
  ] as const;
  await Promise.all(
    cases.map(async ([args, code, text]) => {
      const { stdout, stderr, exitCode } = await demo(args);
      expect({ args, exitCode }).toEqual({ args, exitCode: code });
      expect(stderr).toContain(text);
      expect(stderr).toContain("hint: ");
      expect(stdout).toBe("");
    }),
  );
  const { stderr } = await demo(["nope", "--json"]);
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: "FOLDER_NOT_FOUND" } });
  expect(readdirSync(temp)).toEqual([]);
}, 30_000);
