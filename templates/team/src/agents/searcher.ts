import { join } from "node:path";
import { defineTask, Worker } from "soorma";
import { type Note, Passages, Question, searchNotes } from "../search.ts";

const folder = join(import.meta.dir, "..", "..", "notes");

const worker = new Worker({
  name: "{{name}}-searcher",
  description: "Finds passages in the notes",
  capabilities: ["note_search"],
});

worker.onTask(defineTask({ name: "note_search", input: Question, output: Passages }), async (task) => {
  const notes: Note[] = [];
  for await (const file of new Bun.Glob("**/*.md").scan(folder)) {
    notes.push({ file, text: await Bun.file(join(folder, file)).text() });
    await task.reportProgress(0.5, `read ${file}`);
  }
  return searchNotes(notes, task.data);
});

await worker.run();
