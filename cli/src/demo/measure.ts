import type { TextMeasure } from "./contracts.ts";

/**
 * Silent reading of English non-fiction, words a minute.
 *
 * @see https://doi.org/10.1016/j.jml.2019.104047
 */
const wordsPerMinute = 238;

/** A text's words, sentences and reading time. */
export function measureText(text: string): TextMeasure {
  const words = text.match(/[\p{L}\p{N}]+(?:['’.-][\p{L}\p{N}]+)*/gu)?.length ?? 0;
  const ends = text.match(/[.!?。！？]+(?=\s|$)|[:：]?\s*\n\s*\n/gu)?.length ?? 0;
  return {
    words,
    sentences: words === 0 ? 0 : Math.max(1, ends),
    readingSeconds: Math.ceil((words * 60) / wordsPerMinute),
  };
}
