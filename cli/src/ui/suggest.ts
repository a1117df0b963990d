import { nearest } from "@soorma/core/nearest";
import { oneLine } from "./text.ts";

/** What to say of a name there is not: the one that was probably meant, else `otherwise`. */
export function suggest(given: string, known: Iterable<string>, otherwise: string): string {
  const guess = nearest(given, [...new Set(known)]);
  return guess === undefined ? otherwise : `did you mean ${oneLine(guess)}?`;
}
