import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { SoormaError } from "../errors.ts";

const magic = 0xbeef_c0de;
const metaFlag = 0x08;
const noPage = 0xffff_ffff_ffff_ffffn;
const headerBytes = 24;
const metaBytes = 144;

interface Meta {
  readonly pageSize: number;
  readonly usedPages: bigint;
  readonly roots: readonly bigint[];
  readonly lastPage: bigint;
  readonly txnId: bigint;
}

/**
 * Checks the two meta pages of an LMDB data file, that their trees' roots lie within it and that it has room for the
 * pages they count.
 *
 * lmdb maps the file into memory: it ends the process with a signal when it follows a page number beyond the file's
 * end, and opening garbage crashed it. So a damaged file must be found before lmdb gets it. Damage inside the trees'
 * pages is not found here: they carry no checksums.
 *
 * @throws {SoormaError} `STORE_CORRUPT`
 */
export function checkDataFile(path: string): void {
  let file: number;
  try {
    file = openSync(path, "r+");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  try {
    const size = fstatSync(file).size;
    if (size === 0) return;
    const first = readMeta(file, 0, size, path);
    const second = readMeta(file, first.pageSize, size, path);
    const newest = second.txnId > first.txnId ? second : first;
    if (second.pageSize !== first.pageSize) throw corrupt(path, "its meta pages differ in page size");
    const pages = BigInt(Math.floor(size / newest.pageSize));
    for (const root of newest.roots) {
      if (root !== noPage && root >= pages) {
        throw corrupt(path, `it ends at page ${pages} and a tree begins at page ${root}`);
      }
    }
    if (newest.usedPages + 2n > pages) {
      throw corrupt(path, `it has ${pages} pages and its trees count ${newest.usedPages + 2n}`);
    }
    // Free pages at the end may never have been written. Filled up, no page number leads beyond the end.
    const whole = Number(newest.lastPage + 1n) * newest.pageSize;
    if (whole > size) ftruncateSync(file, whole);
  } finally {
    closeSync(file);
  }
}

function readMeta(file: number, at: number, size: number, path: string): Meta {
  const buffer = Buffer.alloc(headerBytes + metaBytes);
  if (at + buffer.length > size || readSync(file, buffer, 0, buffer.length, at) !== buffer.length) {
    throw corrupt(path, `it is ${size} bytes long and has no second meta page`);
  }
  const page = at === 0 ? "first" : "second";
  if ((buffer.readUInt16LE(18) & metaFlag) === 0 || buffer.readUInt32LE(24) !== magic) {
    throw corrupt(path, `its ${page} page is not an LMDB meta page`);
  }
  const version = buffer.readUInt16LE(28);
  if (version !== 2) throw corrupt(path, `it has data format ${version}, not 2`);
  const pageSize = buffer.readUInt32LE(48);
  if (pageSize < 512 || pageSize > 65536 || (pageSize & (pageSize - 1)) !== 0) {
    throw corrupt(path, `its ${page} meta page says a page has ${pageSize} bytes`);
  }
  const pagesOf = (tree: number): bigint =>
    buffer.readBigUInt64LE(tree + 8) + buffer.readBigUInt64LE(tree + 16) + buffer.readBigUInt64LE(tree + 24);
  return {
    pageSize,
    usedPages: pagesOf(48) + pagesOf(96),
    roots: [buffer.readBigUInt64LE(88), buffer.readBigUInt64LE(136)],
    lastPage: buffer.readBigUInt64LE(144),
    txnId: buffer.readBigUInt64LE(152),
  };
}

function corrupt(path: string, what: string): SoormaError {
  return new SoormaError("STORE_CORRUPT", `the data file ${path} is damaged: ${what}`, {
    hint: "Restore the folder from a backup, or move it away to begin with an empty store.",
    details: { path },
  });
}
