type Fields = Readonly<Record<string, unknown>>;

/** About how many bytes a value takes when packed, without packing it. Never much too small. */
export function roughBytes(value: unknown): number {
  switch (typeof value) {
    case "string":
      return value.length * 3 + 5;
    case "number":
    case "bigint":
      return 9;
    case "object":
      break;
    default:
      return 2;
  }
  if (value === null) return 1;
  if (ArrayBuffer.isView(value)) return value.byteLength + 5;
  let bytes = 5;
  if (Array.isArray(value)) for (const item of value) bytes += roughBytes(item);
  else for (const key of Object.keys(value)) bytes += key.length * 3 + 5 + roughBytes((value as Fields)[key]);
  return bytes;
}
