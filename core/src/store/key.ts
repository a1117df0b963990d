import { SoormaError } from "../errors.ts";
import type { Key, KeyPart } from "./store.ts";

/** The longest encoded key, in bytes: what LMDB takes with 4 KiB pages. A part costs its UTF-8 bytes and 2, a number 9. */
const maxKeyBytes = 1978;

const numberTag = "\x10";
const textTag = "\x20";
const endOfText = "\x00";
const escapedNul = "\x00\xff";
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys may hold them, and only NUL needs an escape
const plainAscii = /^[\x01-\x7f]*$/;
const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = Buffer.from(scratch.buffer);

/**
 * A key as a string of bytes (each character one byte) whose order is the key's order.
 *
 * Why not lmdb's own tuple encoding: it does not escape control characters in long strings, and returns a tuple of
 * one as its bare element. Text sorts by code point, numbers numerically and before text, a tuple before its extensions.
 *
 * @throws {SoormaError} `KEY_INVALID` for a part that is neither text nor a number, and beyond {@link maxKeyBytes}.
 */
export function encodeKey(key: Key): string {
  if (key.length === 0) throw new SoormaError("KEY_INVALID", "the key has no parts");
  return encodePrefix(key);
}

/** As {@link encodeKey}; of no parts it makes what every key begins with. */
export function encodePrefix(key: Key): string {
  let out = "";
  for (const part of key) out += encodePart(part, key);
  if (out.length > maxKeyBytes) {
    throw new SoormaError(
      "KEY_INVALID",
      `key ${describeKey(key)} takes ${out.length} bytes, at most ${maxKeyBytes} fit`,
      {
        hint: "Shorten the key, or store a digest of it.",
        details: { bytes: out.length, maxBytes: maxKeyBytes },
      },
    );
  }
  return out;
}

function encodePart(part: KeyPart, key: Key): string {
  if (typeof part === "string") {
    if (plainAscii.test(part)) return textTag + part + endOfText;
    if (!part.isWellFormed()) {
      throw new SoormaError("KEY_INVALID", `key ${describeKey(key)} has a part with half a surrogate pair`);
    }
    return textTag + Buffer.from(part, "utf8").toString("latin1").replaceAll("\x00", escapedNul) + endOfText;
  }
  if (typeof part === "number" && !Number.isNaN(part)) {
    // IEEE 754 bits sort like numbers once the sign bit is flipped, and all bits of a negative one.
    scratch.setFloat64(0, part === 0 ? 0 : part);
    const high = scratch.getUint32(0);
    const negative = high >= 0x8000_0000;
    scratch.setUint32(0, negative ? ~high : high ^ 0x8000_0000);
    if (negative) scratch.setUint32(4, ~scratch.getUint32(4));
    return numberTag + scratchBytes.toString("latin1");
  }
  throw new SoormaError("KEY_INVALID", `key ${describeKey(key)} has a part that is neither text nor a number`);
}

/** The key that {@link encodeKey} turned into `bytes`; undefined when it did not. */
export function decodeKey(bytes: string): Key | undefined {
  const key: KeyPart[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes.charAt(at);
    if (tag === numberTag) {
      if (at + 9 > bytes.length) return undefined;
      for (let i = 0; i < 8; i++) scratch.setUint8(i, bytes.charCodeAt(at + 1 + i));
      const high = scratch.getUint32(0);
      const negative = high < 0x8000_0000;
      scratch.setUint32(0, negative ? ~high : high ^ 0x8000_0000);
      if (negative) scratch.setUint32(4, ~scratch.getUint32(4));
      key.push(scratch.getFloat64(0));
      at += 9;
    } else if (tag === textTag) {
      let end = bytes.indexOf(endOfText, at);
      while (end >= 0 && bytes.charCodeAt(end + 1) === 0xff) end = bytes.indexOf(endOfText, end + 2);
      if (end < 0) return undefined;
      const raw = bytes.slice(at + 1, end);
      key.push(plainAscii.test(raw) ? raw : Buffer.from(raw.replaceAll(escapedNul, "\x00"), "latin1").toString("utf8"));
      at = end + 1;
    } else return undefined;
  }
  return key;
}

function describeKey(key: Key): string {
  const text = JSON.stringify(key) ?? String(key);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
