import type { Report } from "../ui/errors.ts";

/** Set in every process that `soorma dev` supervises. */
export const supervisedVariable = "SOORMA_SUPERVISED";

/** Milliseconds that a supervised process has to finish its work when it is stopped. */
export const drainVariable = "SOORMA_DRAIN_MS";

/**
 * Set in a process that stands by: it has done what every start needs, and waits for the word before it reads its
 * agent's file. Its value is what to load meanwhile; empty when there is nothing.
 */
export const standbyVariable = "SOORMA_STANDBY";

/**
 * Set in a process whose agents may not work before its supervisor says so: it tells that its code is loaded, and joins
 * the mesh at the word.
 */
export const heldVariable = "SOORMA_HELD";

/** What a process did since it started, as far as a person who watches wants to know. */
export interface Activity {
  /** Handlers of tasks that run. */
  readonly tasks: number;
  readonly published: number;
  readonly received: number;
}

/** What a supervised process tells its supervisor. */
export type ChildMessage =
  | { readonly soorma: "ready"; readonly info: Readonly<Record<string, unknown>> }
  | { readonly soorma: "failed"; readonly report: Report }
  /** Its code is loaded; it waits for the word to work. */
  | { readonly soorma: "loaded" }
  | { readonly soorma: "activity"; readonly activity: Activity };

/** What a supervisor tells a process of its own. */
export interface ParentMessage {
  /** `go`: a process that stands by reads its file. `work`: one that is loaded joins the mesh. `activity` is answered with one. */
  readonly soorma: "go" | "work" | "activity";
}

const childMessages = ["ready", "failed", "loaded", "activity"];
const parentMessages = ["go", "work", "activity"];

/**
 * Tells the supervisor that this process does what it is there for; does nothing when nobody supervises it.
 *
 * @param info - Facts for people: address, agent names. Must survive JSON.
 */
export async function reportReady(info: Readonly<Record<string, unknown>> = {}): Promise<void> {
  if (process.env[supervisedVariable] !== undefined) await tellParent({ soorma: "ready", info });
}

/** Resolves when the message is on its way, so that the process may end; at once when there is no parent to tell. */
export async function tellParent(message: ChildMessage): Promise<void> {
  if (!process.connected) return;
  await new Promise<void>((resolve) => {
    process.send?.(message, undefined, undefined, () => resolve());
  });
}

/** Calls `listener` with what the supervisor says. Listening alone keeps no process alive. */
export function onParentMessage(listener: (message: ParentMessage) => void): Disposable {
  const listen = (value: unknown): void => {
    if (isTagged(value, parentMessages)) listener(value as ParentMessage);
  };
  process.on("message", listen);
  (process as { channel?: { unref?(): void } }).channel?.unref?.();
  return { [Symbol.dispose]: () => void process.off("message", listen) };
}

/** Reads what came from a child; `undefined` for what is none of ours. */
export function parseChildMessage(value: unknown): ChildMessage | undefined {
  return isTagged(value, childMessages) ? (value as ChildMessage) : undefined;
}

function isTagged(value: unknown, tags: readonly string[]): boolean {
  return typeof value === "object" && value !== null && "soorma" in value && tags.includes(String(value.soorma));
}
