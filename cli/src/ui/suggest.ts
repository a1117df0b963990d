import { nearest } from "@soorma/core/nearest";
import { oneLine } from "./text.ts";

/** What to say of a name there is not: the one that was probably meant, else `otherwise`. */
export function suggest(given: string, known: Iterable<string>, otherwise: string): string {
  const guess = nearest(given, [...new Set(known)]);
  return guess === undefined ? otherwise : `did you mean ${oneLine(guess)}?`;
}

/** `a, b, c and 4 more` */
export function listOf(names: Iterable<string>, most = 8): string {
  const all = [...new Set(names)].map(oneLine);
  const shown = all.slice(0, most).join(", ");
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}
