import { statSync } from "node:fs";
import { resolve } from "node:path";
import { CommandError } from "../ui/errors.ts";
import { count } from "../ui/text.ts";
import { ownDocumentation } from "./documentation.ts";
import { type Documents, findDocuments, type LeftOut, mostFiles, reasonOf } from "./documents.ts";

/** What the question is asked of. */
export interface Source extends Documents {
  readonly folder: string;
  /** For people. */
  readonly name: string;
}

const listed = 10;

/**
 * The absolute path of a folder that was named.
 *
 * @throws {CommandError} `FOLDER_NOT_FOUND`, `NOT_A_FOLDER`, `FOLDER_UNREADABLE`
 */
export function resolveFolder(cwd: string, named: string): string {
  const folder = resolve(cwd, named);
  const hint = "name a folder with Markdown or text files: soorma demo ./docs";
  try {
    if (statSync(folder).isDirectory()) return folder;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT") throw new CommandError("FOLDER_NOT_FOUND", `there is no folder ${folder}`, { cause, hint });
    throw new CommandError("FOLDER_UNREADABLE", `${folder} cannot be read: ${reasonOf(cause)}`, { cause, hint });
  }
  throw new CommandError("NOT_A_FOLDER", `${folder} is a file, not a folder`, { hint });
}

/** @throws {CommandError} `NO_DOCUMENTS`, `DOCUMENTS_UNREADABLE` when there is nothing to read. */
export async function readFolder(folder: string, name: string, signal: AbortSignal): Promise<Source> {
  const documents = await findDocuments(folder, signal);
  checkAny(documents, folder);
  return { ...documents, folder, name };
}

/** Soorma's own documentation; `scratch` is for a copy of it, should one be needed. */
export async function readOwn(scratch: string, signal: AbortSignal): Promise<Source> {
  const { folder, name, isWanted } = ownDocumentation(scratch);
  const found = await findDocuments(folder, signal);
  const documents = { ...found, files: found.files.filter(isWanted), skipped: [], unreadable: [], beyond: 0 };
  checkAny(documents, folder);
  return { ...documents, folder, name };
}

function checkAny({ files, skipped, unreadable }: Documents, folder: string): void {
  if (files.length > 0) return;
  const some = unreadable.slice(0, listed).map(reasonLine).join("\n");
  if (unreadable.length > 0) {
    throw new CommandError("DOCUMENTS_UNREADABLE", `nothing in ${folder} can be read:\n${some}`, {
      hint: "check the permissions, or name another folder",
    });
  }
  const left = skipped.slice(0, listed).map(reasonLine).join("\n");
  throw new CommandError(
    "NO_DOCUMENTS",
    `${folder} has no Markdown or text files to read${left === "" ? "" : `; left out:\n${left}`}`,
    { hint: "name a folder with .md, .markdown, .mdx or .txt files" },
  );
}

function reasonLine({ file, reason }: LeftOut): string {
  return `  ${file}: ${reason}`;
}

/** What a person should know about files that are not read: warnings first. */
export function leftOutLines(source: Source): { readonly warnings: string[]; readonly notes: string[] } {
  const { skipped, unreadable, beyond, isPartial } = source;
  const list = (all: readonly LeftOut[]): string[] => [
    ...all.slice(0, listed).map(reasonLine),
    ...(all.length > listed ? [`  … and ${all.length - listed} more`] : []),
  ];
  return {
    warnings:
      unreadable.length === 0
        ? []
        : [`${count(unreadable.length, "file")} cannot be read; the answer goes without:`, ...list(unreadable)],
    notes: [
      ...(skipped.length === 0 ? [] : [`${count(skipped.length, "file")} left out:`, ...list(skipped)]),
      ...(beyond === 0
        ? []
        : [
            `${count(beyond + mostFiles, "file")} found; the demo reads the first ${mostFiles.toLocaleString("en-US")}`,
          ]),
      ...(isPartial ? ["the folder is very large: only its first part was looked through"] : []),
    ],
  };
}
