import { type Static, Type } from "soorma";
import { wordsOf } from "./search.ts";

export const Text = Type.Object({ text: Type.String() });
export const ReadingTime = Type.Object({ seconds: Type.Integer() });

/** How long a person reads: 240 words a minute. */
export function readingTime({ text }: Static<typeof Text>): Static<typeof ReadingTime> {
  return { seconds: Math.ceil(wordsOf(text).length / 4) };
}
