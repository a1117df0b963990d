import { AsyncLocalStorage } from "node:async_hooks";

const seeds = new AsyncLocalStorage<number>();

/** Runs one seed alone: that of a failure, to see it again. */
const seedVariable = "SOORMA_TEST_SEED";

/** The seed that meshes made now have, unless they are given one. */
export function currentSeed(): number | undefined {
  return seeds.getStore() ?? seedOfEnvironment();
}

export interface SeedsOptions {
  /** The first one. Default 1. */
  readonly from?: number;
}

/**
 * Runs `body` once for each of `count` seeds; meshes made in it have that seed. With `SOORMA_TEST_SEED` set, that one alone.
 *
 * @throws {Error} with the first seed that failed and how to run it again; its cause is what `body` threw.
 */
export async function forEachSeed(
  count: number,
  body: (seed: number) => void | Promise<void>,
  { from = 1 }: SeedsOptions = {},
): Promise<void> {
  const one = seedOfEnvironment();
  const all = one === undefined ? Array.from({ length: count }, (_, i) => from + i) : [one];
  for (const seed of all) {
    try {
      await seeds.run(seed, () => body(seed));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`seed ${seed} fails: ${message}\nagain: ${seedVariable}=${seed} bun test`, { cause: error });
    }
  }
}

function seedOfEnvironment(): number | undefined {
  const text = process.env[seedVariable];
  if (text === undefined || text === "") return undefined;
  const seed = Number(text);
  if (!Number.isSafeInteger(seed)) throw new TypeError(`${seedVariable} is a whole number, not "${text}"`);
  return seed;
}
