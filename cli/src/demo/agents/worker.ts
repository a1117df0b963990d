import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isSoormaError, type PlatformContext, type Task } from "@soorma/core";
import { Worker } from "../../agents.ts";
import { count } from "../../ui/text.ts";
import { writeAnswer } from "../answer.ts";
import {
  answering,
  indexing,
  measuring,
  type Passage,
  type PassageHit,
  passagePrefix,
  searching,
  type TextMeasure,
  textAnalysis,
} from "../contracts.ts";
import { decodeText } from "../decode.ts";
import { passageKey } from "../passage-key.ts";
import { splitPassages } from "../passages.ts";

/** Passages of one file on their way to memory at the same time. */
const storesAtOnce = 64;
/** A file's progress is told about so often; each note is written to the plan's log. */
const notes = 4;

const worker = new Worker({
  name: "document-worker",
  description: "Reads documents, searches them and writes answers",
  concurrency: 4,
});

worker.onTask(indexing, async (task, context) => {
  const { folder, file } = task.data;
  let text: string;
  try {
    text = decodeText(await readFile(join(folder, file)));
  } catch (error) {
    // One file less is no reason to answer nothing.
    const nothing = { words: 0, sentences: 0, readingSeconds: 0 };
    return { file, passages: 0, measure: nothing, problem: error instanceof Error ? error.message : String(error) };
  }
  const passages = splitPassages(file, text);
  await task.reportProgress(0.05, `reading ${file}: ${count(passages.length, "passage")}`);
  const [measure] = await Promise.all([measureWith(context, text, task.signal), storeAll(task, passages, context)]);
  return { file, passages: passages.length, measure };
});

worker.onTask(searching, async (task, context) => {
  const { query, limit } = task.data;
  await task.reportProgress(0.05, `searching "${query}"`);
  const hits = await context.memory.search<Passage>(query, { prefix: passagePrefix, limit });
  return { query, hits: hits.map(({ key, score, value }) => ({ ...value, key, score })) };
});

worker.onTask(answering, async (task, context) => {
  await task.reportProgress(0.05, "choosing what answers the question");
  const searches = Object.entries(task.inputs).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const lists = searches.map(([, { hits }]) => hits as PassageHit[]);
  const answer = writeAnswer(task.data.question, lists);
  const { readingSeconds } = await measureWith(context, answer.answer, task.signal);
  return { ...answer, readingSeconds };
});

async function storeAll(
  task: Task<{ readonly file: string }>,
  passages: readonly Passage[],
  context: PlatformContext,
): Promise<void> {
  let next = 0;
  let done = 0;
  let told = 0;
  const lane = async (): Promise<void> => {
    while (next < passages.length) {
      task.signal.throwIfAborted();
      const number = next++;
      const passage = passages[number] as Passage;
      await context.memory.store(passageKey(passage.file, number + 1), passage);
      done++;
      const step = Math.floor((done * notes) / passages.length);
      if (step > told && done < passages.length) {
        told = step;
        await task.reportProgress(done / passages.length, `storing ${task.data.file}: ${done} of ${passages.length}`);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(storesAtOnce, passages.length) }, lane));
}

const attempts = 3;

/** Asks whichever tool measures texts; another one, or the same after its restart, when it went away meanwhile. */
async function measureWith(context: PlatformContext, text: string, signal: AbortSignal): Promise<TextMeasure> {
  for (let attempt = 1; ; attempt++) {
    const tool = await context.registry.find(textAnalysis, { timeoutMs: 10_000, signal });
    if (!tool) throw new Error(`no agent with capability "${textAnalysis}" appeared within 10 s`);
    try {
      return await tool.invoke(measuring, { text }, { timeoutMs: 5_000, signal });
    } catch (error) {
      if (attempt === attempts || signal.aborted || !isSoormaError(error) || !error.retryable) throw error;
    }
  }
}

await worker.run();
