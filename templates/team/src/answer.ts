import { type Static, Type } from "soorma";
import type { Passages } from "./search.ts";

export const Answer = Type.Object({
  answer: Type.String(),
  sources: Type.Array(Type.String()),
  readingSeconds: Type.Integer(),
});

/** An answer made of what was found, with its sources. */
export function writeAnswer(passages: Static<typeof Passages>): Pick<Static<typeof Answer>, "answer" | "sources"> {
  if (passages.length === 0) return { answer: "The notes say nothing about that.", sources: [] };
  const best = passages.slice(0, 2);
  return {
    answer: best.map((passage) => passage.text).join(" "),
    sources: [...new Set(best.map((passage) => passage.file))],
  };
}
