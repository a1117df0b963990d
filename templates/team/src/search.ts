import { type Static, Type } from "soorma";

export const Question = Type.Object({ question: Type.String({ minLength: 1 }) });
export const Passages = Type.Array(Type.Object({ file: Type.String(), text: Type.String(), score: Type.Integer() }));

export interface Note {
  file: string;
  text: string;
}

/** The paragraphs that have most of the question's words in them, best first, five at most. */
export function searchNotes(notes: Note[], { question }: Static<typeof Question>): Static<typeof Passages> {
  const wanted = new Set(wordsOf(question).filter((word) => word.length > 2));
  return notes
    .flatMap(({ file, text }) => text.split(/\n\s*\n/).map((part) => ({ file, text: part.trim() })))
    .map((part) => ({ ...part, score: new Set(wordsOf(part.text).filter((word) => wanted.has(word))).size }))
    .filter((part) => part.score > 0 && !part.text.startsWith("#"))
    .sort((a, b) => b.score - a.score)
    .slice(0, 5);
}

export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/\p{L}+/gu) ?? [];
}
