import { SoormaError } from "../errors.ts";

const maxMemoryKeyBytes = 1024;

/** @throws {SoormaError} `KEY_INVALID` */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key !== "string") {
    throw new SoormaError("KEY_INVALID", `a memory key must be text, not ${key === null ? "null" : typeof key}`);
  }
  if (key === "") throw new SoormaError("KEY_INVALID", "a memory key must not be empty");
  if (!key.isWellFormed()) {
    throw new SoormaError(
      "KEY_INVALID",
      `the memory key ${JSON.stringify(key.slice(0, 80))} has half a surrogate pair`,
    );
  }
  const bytes = Buffer.byteLength(key);
  if (bytes > maxMemoryKeyBytes) {
    throw new SoormaError(
      "KEY_INVALID",
      `the memory key "${key.slice(0, 80)}…" has ${bytes} bytes, at most ${maxMemoryKeyBytes} fit`,
      { hint: "Shorten the key; long text belongs into the value.", details: { bytes, maxBytes: maxMemoryKeyBytes } },
    );
  }
}
