import { seededRandom } from "@soorma/core/testing";

/** Draws from a seed, in the words of whoever makes a scenario. */
export interface Chance {
  /** In [0, 1). */
  readonly random: () => number;
  /** True in that share of the cases. */
  is(share: number): boolean;
  /** In [least, most). */
  between(least: number, most: number): number;
  /** In least … most, both included. */
  whole(least: number, most: number): number;
  one<T>(of: readonly T[]): T;
  /** Each of them or not, at least one. */
  some<T>(of: readonly T[]): T[];
}

export function chanceOf(seed: number): Chance {
  const random = seededRandom(seed);
  const between = (least: number, most: number): number => least + random() * (most - least);
  const whole = (least: number, most: number): number => Math.floor(between(least, most + 1));
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
  return {
    random,
    is: (share) => random() < share,
    between,
    whole,
    one,
    some(of) {
      const chosen = of.filter(() => random() < 0.4);
      return chosen.length > 0 ? chosen : [one(of)];
    },
  };
}

/** A seed of its own for one part of a scenario, so that one part drawing more moves no other. */
export function seedOf(seed: number, part: string): number {
  let mixed = (seed ^ 0x9e3779b9) >>> 0;
  for (let i = 0; i < part.length; i++) {
    mixed = Math.imul(mixed ^ part.charCodeAt(i), 0x01000193) >>> 0;
  }
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d) >>> 0;
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
