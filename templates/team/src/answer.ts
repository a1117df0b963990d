import { type Static, Type } from "soorma";
import type { Passages } from "./search.ts";

export const Answer = Type.Object({
  answer: Type.String(),
  sources: Type.Array(Type.String()),
  readingSeconds: Type.Integer(),
});

/** An answer made of what was found, with its sources. */
export function writeAnswer(passages: Static<typeof Passages>): Pick<Static<typeof Answer>, "answer" | "sources"> {
  const best = passages.filter((passage) => passage.score === passages[0]?.score).slice(0, 2);
  if (best.length === 0) return { answer: "The notes say nothing about that.", sources: [] };
  return {
    answer: best.map((passage) => passage.text).join(" "),
    sources: [...new Set(best.map((passage) => passage.file))],
  };
}
