import { Packr } from "msgpackr";
import { SoormaError } from "../errors.ts";

/**
 * Packs and unpacks what travels between nodes.
 *
 * Protocol messages are positional arrays (no key is ever sent), user data inside them are plain msgpack maps, so that
 * any msgpack reader understands a frame. Binary data is copied out of the frame, which the transport may reuse.
 */
export interface Codec {
  encode(value: unknown): Uint8Array;
  /** @throws {SoormaError} `MESSAGE_MALFORMED` */
  decode(frame: Uint8Array): unknown;
  /** Of several values, one packed behind the other. @throws {SoormaError} `MESSAGE_MALFORMED` */
  decodeAll(frame: Uint8Array): readonly unknown[];
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
    encode: (value) => packr.pack(value),
    decode: (frame) => decoded(frame, () => packr.unpack(frame)),
    decodeAll: (frame) => decoded(frame, () => packr.unpackMultiple(frame) as unknown[]),
  };
}
