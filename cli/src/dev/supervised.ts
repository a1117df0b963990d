import type { Report } from "../ui/errors.ts";

/** Set in every process that `soorma dev` supervises. */
export const supervisedVariable = "SOORMA_SUPERVISED";

/** What a supervised process tells its supervisor. */
export type ChildMessage =
  | { readonly soorma: "ready"; readonly info: Readonly<Record<string, unknown>> }
  | { readonly soorma: "failed"; readonly report: Report };

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

/** Reads what came from a child; `undefined` for what is none of ours. */
export function parseChildMessage(value: unknown): ChildMessage | undefined {
  if (typeof value !== "object" || value === null || !("soorma" in value)) return undefined;
  return value.soorma === "ready" || value.soorma === "failed" ? (value as ChildMessage) : undefined;
}
