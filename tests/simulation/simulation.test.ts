import { expect, test } from "bun:test";
import { simulate } from "./run.ts";
import type { Break } from "./surroundings.ts";

test("whatever goes wrong, what has to hold does", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { violations } = await simulate({ seed });
    expect({ again: `bun run simulate --seed ${seed} --trace`, violations }).toMatchObject({ violations: [] });
  }
});

test("a seed is one run: the same again, step by step, whatever ran before it", async () => {
  const read = async (seed: number): Promise<{ hash: string; lines: string[] }> => {
    const lines: string[] = [];
    const { hash } = await simulate({ seed, trace: (line) => void lines.push(line) });
    return { hash, lines };
  };
  const first = await read(11);
  const { hash: other } = await simulate({ seed: 12 });
  const second = await read(11);
  expect(first.lines.length).toBeGreaterThan(500);
  expect(second.lines).toEqual(first.lines);
  expect(other).not.toBe(first.hash);
  // Nobody looking at it changes nothing.
  expect((await simulate({ seed: 11 })).hash).toBe(first.hash);
});

/** A guarantee that is taken away, and words by which its loss shows. */
const breaks: readonly (readonly [Break, RegExp])[] = [
  ["flush", /acknowledged|not there|not in the log|never ended|answered/],
  ["version", /drives in epoch|twice|was answered/],
  ["lease", /not every goal was answered/],
  ["wait", /not there|not every goal was answered|never ended|the run broke|unhandled|twice/],
  ["steps", /had its effect again|had its effect in attempt|recorded twice|to one attempt/],
];

for (const [broken, shows] of breaks) {
  test(`without ${broken} it goes red`, async () => {
    const found: string[] = [];
    for (let seed = 1; seed <= 150 && !found.some((what) => shows.test(what)); seed++) {
      found.push(...(await simulate({ seed, broken })).violations);
    }
    expect(found.filter((what) => shows.test(what))).not.toEqual([]);
  });
}
