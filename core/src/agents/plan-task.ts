import { checkData, type InputOf, type TaskContract } from "../contracts.ts";
import type { TaskSpec } from "../plans/log.ts";
import { findTemplates } from "../plans/template.ts";

/** A value, or a template that becomes it: `{{results.search.papers}}`; likewise any part of it. */
export type Templated<T> =
  | T
  | `{{${string}}}`
  | (T extends readonly unknown[] ? { [K in keyof T]: Templated<T[K]> } : never)
  | (T extends object ? { [K in keyof T]: Templated<T[K]> } : never);

export interface PlanTaskOptions extends Omit<TaskSpec, "assignedTo" | "data" | "name" | "goal" | "wait"> {
  /** Default: the contract's name. Likewise `assignedTo`. */
  readonly name?: string;
  readonly assignedTo?: string;
}

/**
 * A task typed by its contract: for a planner's list of tasks. The contract's `retry`, `timeoutMs` and `priority` are the
 * defaults of the task's own.
 *
 * @throws {SoormaError} `PAYLOAD_INVALID`. Data with templates in it is checked by the worker, when they are filled in.
 */
export function planTask<C extends TaskContract>(
  contract: C,
  data: Templated<InputOf<C>>,
  options: PlanTaskOptions = {},
): TaskSpec {
  const { name = contract.name, assignedTo = contract.name } = options;
  if (findTemplates(data, "data").length === 0) checkData(contract.input, data, `data of task "${name}"`);
  const { retry, timeoutMs, priority } = contract;
  return {
    ...(retry ? { retry } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
    ...options,
    name,
    assignedTo,
    data,
  };
}
