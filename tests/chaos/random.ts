import { seededRandom } from "@soorma/core/testing";

/** Random numbers that follow from a seed alone. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
  chance(share: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** Another stream of numbers, which how often this one is asked does not change. */
  fork(name: string): Random;
}

export function createRandom(seed: string): Random {
  const next = seededRandom(Bun.hash.crc32(seed));
  return {
    next,
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    chance: (share) => next() < share,
    pick<T>(from: readonly T[]): T {
      const one = from[Math.floor(next() * from.length)];
      if (one === undefined) throw new TypeError("there is nothing to pick from");
      return one;
    },
    fork: (name) => createRandom(`${seed}/${name}`),
  };
}
