import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../ui/errors.ts";

/** Package names and the packed files that provide them. */
export type Tarballs = ReadonlyMap<string, string>;

/**
 * The packages packed in a folder, by name.
 *
 * @throws {UsageError} when `soorma` is not among them.
 */
export function findTarballs(folder: string): Tarballs {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  } catch {
    throw new UsageError(`the folder of packages ${folder} cannot be read`, "give --packages a folder of .tgz files");
  }
  const found = new Map<string, string>();
  for (const name of names.sort()) {
    const path = join(folder, name);
    found.set(packageNameIn(path), path);
  }
  if (!found.has("soorma")) {
    throw new UsageError(
      `none of the ${names.length} .tgz files in ${folder} is the package soorma`,
      "make them with `bun run pack <folder>` in a clone of Soorma",
    );
  }
  return found;
}

/** Makes a project's manifest take soorma, all of its parts and whatever else is packed from packed files. */
export function useTarballs(manifest: string, tarballs: Tarballs): string {
  const parsed = JSON.parse(manifest) as Record<string, Record<string, string> | undefined>;
  const files = Object.fromEntries([...tarballs].map(([name, path]) => [name, `file:${path}`]));
  const replaced = Object.fromEntries(
    ["dependencies", "devDependencies"].map((field) => [
      field,
      Object.fromEntries(Object.entries(parsed[field] ?? {}).map(([name, range]) => [name, files[name] ?? range])),
    ]),
  );
  // What soorma depends on has to come from there, too, and not from a registry.
  return `${JSON.stringify({ ...parsed, ...replaced, overrides: files }, undefined, 2)}\n`;
}

/** Reads the name out of `package/package.json` of a packed package. */
function packageNameIn(path: string): string {
  const archive = Bun.gunzipSync(readFileSync(path));
  const decoder = new TextDecoder();
  const field = (from: number, to: number): string => decoder.decode(archive.subarray(from, to)).replace(/\0.*$/s, "");
  // A tar archive: headers of 512 bytes, each followed by the content padded to 512. See pax(1), "ustar".
  for (let at = 0; at + 512 <= archive.length; ) {
    const size = Number.parseInt(field(at + 124, at + 136).trim(), 8) || 0;
    if (field(at, at + 100) === "package/package.json") {
      const manifest = JSON.parse(decoder.decode(archive.subarray(at + 512, at + 512 + size))) as { name?: unknown };
      if (typeof manifest.name === "string") return manifest.name;
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new UsageError(`${path} is no packed package`, "take it out of the folder, or pack it again");
}
