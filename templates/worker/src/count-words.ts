import { type Static, Type } from "soorma";

/** What a task brings along. Anything else is refused before it gets here. */
export const Input = Type.Object({ text: Type.String({ minLength: 1 }) });

/** What the task results in. */
export const Output = Type.Object({ words: Type.Integer(), distinct: Type.Integer(), longest: Type.String() });

export function countWords({ text }: Static<typeof Input>): Static<typeof Output> {
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  const longest = words.reduce((found, word) => (word.length > found.length ? word : found), "");
  return { words: words.length, distinct: new Set(words).size, longest };
}
