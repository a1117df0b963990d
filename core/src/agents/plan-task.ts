import { checkData, type InputOf, type TaskContract } from "../contracts.ts";
import type { TaskSpec } from "../plans/log.ts";

/** Data of a `templated` task: a value, or a template that becomes it, `{{results.search.papers}}`; likewise any part of it. */
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
 * defaults of the task's own. Only with `templated: true` may the data hold templates.
 *
 * @throws {SoormaError} `PAYLOAD_INVALID`. Data of a `templated` task is checked by the worker, when it is filled in.
 */
export function planTask<C extends TaskContract>(contract: C, data: InputOf<C>, options?: PlanTaskOptions): TaskSpec;
export function planTask<C extends TaskContract>(
  contract: C,
  data: Templated<InputOf<C>>,
  options: PlanTaskOptions & { readonly templated: true },
): TaskSpec;
export function planTask(contract: TaskContract, data: unknown, options: PlanTaskOptions = {}): TaskSpec {
  const { name = contract.name, assignedTo = contract.name } = options;
  if (!options.templated) checkData(contract.input, data, `data of task "${name}"`);
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
