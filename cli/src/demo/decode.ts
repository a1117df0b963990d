/** Text of a file: what its mark says, else UTF-8, else what Western editors wrote before it. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder(markedAs(bytes) ?? (isUtf8(bytes) ? "utf-8" : "windows-1252")).decode(bytes);
}

/** The encoding that the first bytes of a file declare; without one, zeros in it mean that it is no text. */
export function markedAs(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  return bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
