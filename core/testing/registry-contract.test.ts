import { describe, expect, test } from "bun:test";
import { join } from "node:path";

/** Of each fault, tests of the contract that must not pass. */
const caught: Readonly<Record<string, readonly string[]>> = {
  "finds parts of words": [
    '{"capability":"web_research"} finds exactly the agents it names',
    '{"capability":"research"} finds nobody, since nothing matches in part',
    '{"name":"research"} finds nobody, since nothing matches in part',
  ],
  "ignores what it does not know in a query": ["a query with a field that does not exist is refused"],
  "loses what operations are about": ["a record is found with every field as it was registered"],
  "keeps one topic of each event": ["a record is found with every field as it was registered"],
  "forgets leases": [
    "an agent that is not renewed is gone when its lease is over, not before, and is unknown then",
    "a watcher is told that a lease ran out",
  ],
  "ends leases early": ["an agent that is not renewed is gone when its lease is over, not before, and is unknown then"],
  "does not renew": ["an agent that is renewed outlives its lease"],
  "lies about who is known": [
    "renewing names exactly the agents that are not known",
    "after an outage renewing tells the truth about who is known",
  ],
  "shows an outage as nobody": ["during an outage looking for agents is an error, not an empty list"],
  "shows an outage as no schema": ["during an outage a schema is not missing but unavailable"],
  "tells changes out of order": [
    "a watcher is told what another client changes, and why somebody left",
    "with many changes at once a watcher sees all in order of revision",
  ],
  "tells no snapshot after an interruption": [
    "after an interruption a watcher gets a new snapshot, then changes again",
  ],
  "tells the snapshot late": ["a watcher gets a snapshot before its watch is there"],
  "goes on telling a disposed watch": [
    "a watch that was disposed, even twice, hears nothing more; another one goes on",
  ],
  "takes any version": ['"banana" is no version and is refused', "a version is immutable"],
  "calls the last schema the latest": [
    "the latest schema is the highest version that is no prerelease, whatever came last",
  ],
  "overwrites versions": ["a version is immutable"],
  "works after it was closed": ["closing twice is fine, and every call after it is an error"],
  "takes records that make no sense": ["a record with a wrong field is refused with the path of the field"],
};

describe("the registry contract", () => {
  // All in one process: what takes time is that faults are waited for in vain.
  const run = async (): Promise<string> => {
    const literal = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const all = [...new Set(Object.values(caught).flat())];
    const wanted = Object.entries(caught).flatMap(([fault, titles]) => titles.map((title) => `${fault} ${title}`));
    const pattern = [...wanted, ...all.map((title) => `right ${title}`)].map((one) => `contract: ${literal(one)}$`);
    const fixtures = join(import.meta.dir, "fixtures");
    const child = Bun.spawn(
      [process.execPath, "test", "./broken-registries.test.ts", "--test-name-pattern", pattern.join("|")],
      { cwd: fixtures, stdout: "pipe", stderr: "pipe", env: { ...process.env, NO_COLOR: "1" } },
    );
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    await child.exited;
    return `${out}\n${err}`;
  };
  let running: Promise<string> | undefined;
  const output = (): Promise<string> => (running ??= run());

  for (const [fault, titles] of Object.entries(caught)) {
    for (const title of titles) {
      test(`a registry that ${fault} fails "${title}"`, async () => {
        expect(await output()).toContain(`(fail) registry contract: ${fault} > ${title}`);
      }, 120_000);
    }
  }

  test("a right registry passes all of these", async () => {
    const titles = new Set(Object.values(caught).flat());
    for (const title of titles) expect(await output()).toContain(`(pass) registry contract: right > ${title}`);
  }, 120_000);
});
