import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brokenTransports } from "./broken-transports.ts";
import { expectedFailures } from "./expected-failures.ts";

const atOnce = 2;

/** Runs the contract suite on a broken transport in a process of its own; the titles of the tests that failed. */
async function failuresOf(name: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "soorma-broken-"));
  try {
    const report = join(folder, "report.xml");
    const suite = join(import.meta.dir, "broken-transport.suite.ts");
    const child = Bun.spawn([process.execPath, "test", suite, "--reporter=junit", `--reporter-outfile=${report}`], {
      cwd: join(import.meta.dir, ".."),
      env: { ...process.env, BROKEN_TRANSPORT: name },
      stdout: "ignore",
      stderr: "pipe",
    });
    const output = await new Response(child.stderr).text();
    await child.exited;
    const xml = await Bun.file(report)
      .text()
      .catch(() => {
        throw new Error(`the suite wrote no report:\n${output}`);
      });
    const cases = [...xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs)];
    if (cases.length < 50) throw new Error(`only ${cases.length} tests ran:\n${output}`);
    return cases.filter(([, , body]) => body?.includes("<failure")).map(([, title]) => plainText(title ?? ""));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function plainText(xml: string): string {
  return xml.replaceAll("&apos;", "'").replaceAll("&#39;", "'").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

/** All runs, a few at a time. */
const runs = new Map<string, Promise<string[]>>();
function failures(name: string): Promise<string[]> {
  if (runs.size === 0) {
    const waiting: (() => void)[] = [];
    let free = atOnce;
    for (const each of Object.keys(brokenTransports)) {
      const turn = new Promise<void>((resolve) => waiting.push(resolve));
      const run = turn.then(() => failuresOf(each)).finally(next);
      run.catch(() => {}); // the test that asks for it reports it
      runs.set(each, run);
    }
    for (; free > 0; free--) next();
    function next(): void {
      waiting.shift()?.();
    }
  }
  return runs.get(name) ?? Promise.resolve([]);
}

describe("the transport contract suite", () => {
  test("knows what to expect of every broken transport", () => {
    expect(Object.keys(expectedFailures).sort()).toEqual(Object.keys(brokenTransports).sort());
  });

  for (const [name, titles] of Object.entries(expectedFailures)) {
    const verdict = titles.length === 0 ? "passes" : "fails";
    test(`${verdict} a transport that ${name}`, async () => {
      expect((await failures(name)).sort()).toEqual([...titles].sort());
    }, 300_000);
  }
});
