import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Timer } from "../runtime.ts";
import { type RecordedNote, type TaskKey, taskMethods } from "./task-wire.ts";

/** Milliseconds that a note waits for others to go along: nobody waits for it. */
const gatherMs = 20;

/** Tells agents which of the results that came with their answers to offers are in the log. */
export class RecordedNotes {
  readonly #node: MeshNode;
  readonly #log: Logger;
  readonly #notes = new Map<string, { readonly agent: AgentRecord; readonly attempts: TaskKey[] }>();
  #timer: Timer | undefined;

  constructor(node: MeshNode, log: Logger) {
    this.#node = node;
    this.#log = log;
  }

  add(agent: AgentRecord, taskId: string, attempt: number): void {
    const note = this.#notes.get(agent.agentId);
    if (note) note.attempts.push({ taskId, attempt });
    else this.#notes.set(agent.agentId, { agent, attempts: [{ taskId, attempt }] });
    this.#timer ??= this.#node.runtime.setTimer(() => this.flush(), gatherMs, { background: true });
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const { agent, attempts } of this.#notes.values()) {
      const note: RecordedNote = { attempts };
      this.#node
        .tellAgent(agent, taskMethods.recorded, note)
        .catch((error) => this.#log.debug("task.recorded.lost", { agentId: agent.agentId, error }));
    }
    this.#notes.clear();
  }
}
