import type { TaskSpec } from "@soorma/core";
import { answering, indexing, searching } from "./contracts.ts";
import { queriesFor } from "./question.ts";

export interface Ask {
  readonly folder: string;
  readonly files: readonly string[];
  readonly question: string;
}

/** Passages a search brings back, at most. */
const hitsPerSearch = 80;
/** Milliseconds one attempt at a file may take. */
const indexingTimeoutMs = 60_000;
/** A task's name is limited to 200 characters; its data carries the whole path. */
const shownChars = 150;

/** One task a file, then the searches, then the answer. */
export function tasksFor({ folder, files, question }: Ask): TaskSpec[] {
  const index = files.map((file, position) => ({
    name: `index ${position + 1}: ${file.length > shownChars ? `…${file.slice(-shownChars)}` : file}`,
    assignedTo: indexing.name,
    data: { folder, file },
    timeoutMs: indexingTimeoutMs,
  }));
  const indexed = index.map((task) => task.name);
  const searches = queriesFor(question).map((query, position) => ({
    name: `search ${position + 1}`,
    assignedTo: searching.name,
    data: { query, limit: hitsPerSearch },
    dependsOn: indexed,
  }));
  return [
    ...index,
    ...searches,
    {
      name: "answer",
      assignedTo: answering.name,
      data: { question },
      dependsOn: searches.map((task) => task.name),
    },
  ];
}
