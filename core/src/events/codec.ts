import { Packr } from "msgpackr";
import { SoormaError } from "../errors.ts";
import { findUnpackable, holdsOtherThanBytes } from "../plans/packable.ts";

/**
 * Packs and unpacks what travels between nodes.
 *
 * Protocol messages are positional arrays (no key is ever sent), user data inside them are plain msgpack maps, so that
 * any msgpack reader understands a frame. A key `__proto__` is read as `__proto_`, so that nobody's data changes what
 * objects inherit. Binary data is copied out of the frame, which the transport may reuse.
 */
export interface Codec {
  /** @throws {PackingError} */
  encode(value: unknown): Uint8Array;
  /** @throws {SoormaError} `MESSAGE_MALFORMED` */
  decode(frame: Uint8Array): unknown;
  /** Of several values, one packed behind the other. @throws {SoormaError} `MESSAGE_MALFORMED` */
  decodeAll(frame: Uint8Array): readonly unknown[];
}

/** A message cannot be packed. Who knows which part of it is a user's says so: {@link namePart}. */
class PackingError extends SoormaError {
  constructor(value: unknown, cause: unknown) {
    const found = findUnpackable(value, "message");
    const why = found ? `${found.path} is ${found.what}` : String(cause instanceof Error ? cause.message : cause);
    super("PAYLOAD_INVALID", `a message cannot be sent: ${why}`, {
      cause,
      ...(found ? { details: { path: found.path } } : {}),
    });
  }
}

/** The error to throw instead of `error`: if that is a {@link PackingError}, one that names what is wrong in `part`. */
export function namePart(error: unknown, part: unknown, path: string, what: string): unknown {
  if (!(error instanceof PackingError)) return error;
  const found = findUnpackable(part, path);
  const { cause } = error;
  const why = found
    ? `${found.path} is ${found.what}, which cannot be sent`
    : `${path} cannot be packed: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new SoormaError("PAYLOAD_INVALID", `${what}: ${why}`, {
    cause,
    hint: "Sent can be null, booleans, numbers, text, dates, bytes, and arrays and objects of these.",
    details: { path: found?.path ?? path },
  });
}

export function createCodec(): Codec {
  // Ref: https://github.com/kriszyp/msgpackr#options — `useRecords: false` writes standard maps; `copyBuffers` because
  // a frame is only valid during the transport's callback; `skipValues` because a field set to undefined is an absent
  // one, and null would not match the optional field of a schema.
  const options = { useRecords: false, copyBuffers: true, encodeUndefinedAsNil: true, skipValues: [undefined] };
  const packr = new Packr(options);
  const decoded = <T>(frame: Uint8Array, decode: () => T): T => {
    try {
      return decode();
    } catch (cause) {
      throw new SoormaError("MESSAGE_MALFORMED", `a frame of ${frame.byteLength} bytes is no valid msgpack`, { cause });
    }
  };
  return {
    encode(value) {
      try {
        if (holdsOtherThanBytes(value)) throw new TypeError("a typed array in it is not one of bytes");
        return packr.pack(value);
      } catch (cause) {
        throw new PackingError(value, cause);
      }
    },
    decode: (frame) => decoded(frame, () => packr.unpack(frame)),
    decodeAll: (frame) => decoded(frame, () => packr.unpackMultiple(frame) as unknown[]),
  };
}
