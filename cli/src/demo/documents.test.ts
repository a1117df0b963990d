import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { decodeText } from "./decode.ts";
import { findDocuments, largestFileBytes, mostFiles } from "./documents.ts";
import { leftOutLines, readFolder, resolveFolder } from "./source.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soorma-documents-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const signal = new AbortController().signal;

function write(path: string, content: string | Uint8Array = "# Text\n\nwords"): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

const codeOf = (error: unknown): string | undefined => (error as { code?: string }).code;

test("Markdown and text files are found in order, without node_modules and what begins with a dot", async () => {
  for (const path of ["b.md", "a.txt", "deep/er/c.MARKDOWN", "d.mdx"]) write(path);
  for (const path of ["no.ts", "node_modules/x/y.md", ".git/z.md", ".soorma/z.md", "deep/node_modules/w.md"])
    write(path);
  expect((await findDocuments(folder)).files).toEqual(["a.txt", "b.md", "d.mdx", "deep/er/c.MARKDOWN"]);
});

test("what cannot be read and what is not text is told, and the rest is read", async () => {
  write("good.md");
  write("binary.txt", new Uint8Array([1, 0, 2]));
  write("empty.md", "");
  write("large.md", "a".repeat(largestFileBytes + 1));
  symlinkSync("/nowhere/at/all", join(folder, "gone.md"));
  symlinkSync(join(folder, "loop.md"), join(folder, "loop.md"));
  const found = await findDocuments(folder);
  expect(found.files).toEqual(["good.md"]);
  expect(found.skipped.map(({ file, reason }) => `${file}: ${reason}`)).toEqual([
    "binary.txt: binary",
    "empty.md: empty",
    "large.md: 2.0 MiB, more than 2 MiB",
  ]);
  expect(found.unreadable.map(({ file }) => file)).toEqual(["gone.md", "loop.md"]);
  const { warnings, notes } = leftOutLines({ ...found, folder, name: "x" });
  expect(warnings[0]).toBe("2 files cannot be read; the answer goes without:");
  expect(notes[0]).toBe("3 files left out:");
});

test("text is read in the encodings it comes in", async () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const utf16 = new Uint8Array([0xff, 0xfe, 0x43, 0, 0xe9, 0]);
  expect(decodeText(bytes("Café"))).toBe("Café");
  expect(decodeText(bytes("\ufeffCafé"))).toBe("Café");
  expect(decodeText(new Uint8Array([0x43, 0xe9]))).toBe("Cé");
  expect(decodeText(utf16)).toBe("Cé");
  write("windows.txt", utf16);
  expect((await findDocuments(folder)).files).toEqual(["windows.txt"]);
});

test("a pipe is not opened, which would wait for ever", async () => {
  write("good.md");
  await Bun.spawn(["mkfifo", join(folder, "pipe.md")]).exited;
  expect((await findDocuments(folder)).skipped).toEqual([{ file: "pipe.md", reason: "not a regular file" }]);
});

test("of very many files the first are read, and it is said how many there are", async () => {
  for (let i = 0; i < mostFiles + 3; i++) write(`${String(i).padStart(5, "0")}.md`, "x");
  const found = await findDocuments(folder);
  expect(found.files).toHaveLength(mostFiles);
  expect(found.beyond).toBe(3);
  expect(leftOutLines({ ...found, folder, name: "x" }).notes).toEqual([
    "2,003 files found; the demo reads the first 2,000",
  ]);
}, 30_000);

test("looking through a folder ends when it is not wanted any more", async () => {
  const controller = new AbortController();
  controller.abort(new Error("enough"));
  const error = await findDocuments(folder, controller.signal).catch((cause: unknown) => cause);
  expect(error).toHaveProperty("message", "enough");
});

test("a folder that is none is refused by name", () => {
  write("file.md");
  const refusal = (name: string): unknown => {
    try {
      return resolveFolder(folder, name);
    } catch (error) {
      return codeOf(error);
    }
  };
  expect(refusal("nope")).toBe("FOLDER_NOT_FOUND");
  expect(refusal("file.md")).toBe("NOT_A_FOLDER");
  expect(refusal(".")).toBe(folder);
});

test("a folder with nothing to read says why", async () => {
  const failure = async (): Promise<{ code?: string; message?: string }> =>
    (await readFolder(folder, "x", signal).catch((error: unknown) => error)) as { code?: string; message?: string };
  expect((await failure()).code).toBe("NO_DOCUMENTS");
  write("empty.md", "");
  expect((await failure()).message).toContain("empty.md: empty");
  symlinkSync("/nowhere/at/all", join(folder, "gone.md"));
  expect(await failure()).toMatchObject({ code: "DOCUMENTS_UNREADABLE" });
});
