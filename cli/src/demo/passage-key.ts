import { passagePrefix } from "./contracts.ts";

/** A key has 1,024 bytes at most; a path may have four times as many. */
const longestPath = 600;

/** Where a file's passage is kept, counted from 1. Indexing a file again overwrites its passages. */
export function passageKey(file: string, number: number): string {
  if (Buffer.byteLength(file) <= longestPath) return `${passagePrefix}${file}#${number}`;
  return `${passagePrefix}${Bun.hash(file).toString(36)}/${file.slice(-100)}#${number}`;
}
