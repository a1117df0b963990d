import type { Static, TSchema } from "typebox";
import { SoormaError } from "./errors.ts";
import type { Topic } from "./events/topics.ts";
import type { RetryPolicy } from "./plans/log.ts";
import type { SchemaRecord, SchemaRef } from "./registry/records.ts";
import { Compile } from "./schema.ts";

interface ContractBase<Kind extends string> {
  readonly kind: Kind;
  readonly name: string;
  /** Semver; the schemas registered under it never change. Default `1.0.0`. */
  readonly version: string;
  readonly description?: string;
}

/** What goes into a call and what comes out of it. */
export interface CallContract<Kind extends "task" | "tool" | "goal", I extends TSchema, O extends TSchema>
  extends ContractBase<Kind> {
  readonly input: I;
  readonly output: O;
  readonly retry?: RetryPolicy;
  /** Milliseconds one attempt may take. */
  readonly timeoutMs?: number;
  readonly priority?: number;
}

export type TaskContract<I extends TSchema = TSchema, O extends TSchema = TSchema> = CallContract<"task", I, O>;
export type ToolContract<I extends TSchema = TSchema, O extends TSchema = TSchema> = CallContract<"tool", I, O>;
export type GoalContract<I extends TSchema = TSchema, O extends TSchema = TSchema> = CallContract<"goal", I, O>;

export interface EventContract<D extends TSchema = TSchema> extends ContractBase<"event"> {
  readonly data: D;
  readonly topic?: Topic;
}

export interface CallDefinition<I extends TSchema, O extends TSchema> {
  readonly name: string;
  readonly input: I;
  readonly output: O;
  readonly version?: string;
  readonly description?: string;
  readonly retry?: RetryPolicy;
  readonly timeoutMs?: number;
  readonly priority?: number;
}

export interface EventDefinition<D extends TSchema> {
  readonly name: string;
  readonly data: D;
  readonly topic?: Topic;
  readonly version?: string;
  readonly description?: string;
}

/** A task's name with the schemas of its data and result: pass it instead of the name. */
export function defineTask<I extends TSchema, O extends TSchema>(definition: CallDefinition<I, O>): TaskContract<I, O> {
  return { kind: "task", version: "1.0.0", ...definition };
}

/** A tool's operation with the schemas of its request and result. */
export function defineTool<I extends TSchema, O extends TSchema>(definition: CallDefinition<I, O>): ToolContract<I, O> {
  return { kind: "tool", version: "1.0.0", ...definition };
}

/** A goal's type with the schemas of its data and answer. */
export function defineGoal<I extends TSchema, O extends TSchema>(definition: CallDefinition<I, O>): GoalContract<I, O> {
  return { kind: "goal", version: "1.0.0", ...definition };
}

/** An event's type with the schema of its data. */
export function defineEvent<D extends TSchema>(definition: EventDefinition<D>): EventContract<D> {
  return { kind: "event", version: "1.0.0", ...definition };
}

/** The data a contract's caller passes. */
export type InputOf<C> =
  C extends CallContract<"task" | "tool" | "goal", infer I, TSchema>
    ? NoInfer<Static<I>>
    : C extends EventContract<infer D>
      ? NoInfer<Static<D>>
      : never;

/** What a contract's handler returns. */
export type OutputOf<C> =
  C extends CallContract<"task" | "tool" | "goal", TSchema, infer O> ? NoInfer<Static<O>> : never;

export type AnyContract = TaskContract | ToolContract | GoalContract | EventContract;

/** How the versions of a contract's schemas are made of its own. */
export type SchemaVersioning = (schema: SchemaRecord) => SchemaRecord;

/** The version is the contract's: a schema that changes without a new one is refused by the registry. */
export const releasedVersions: SchemaVersioning = (schema) => schema;

/**
 * Each content is a version of its own, by semver build metadata: while an agent is being written its contracts change
 * with every other saved file, and nobody should have to count along.
 *
 * @see https://semver.org/#spec-item-10
 */
export const developmentVersions: SchemaVersioning = (schema) => ({
  ...schema,
  version: `${schema.version}${schema.version.includes("+") ? "." : "+"}dev.${Bun.hash(JSON.stringify(schema.schema)).toString(36)}`,
});

/** The schema versions a contract stands for, to be registered. */
export function schemasOf(
  contract: AnyContract,
  versioning: SchemaVersioning = releasedVersions,
): { input: SchemaRecord; output?: SchemaRecord } {
  const base = { version: contract.version, ...(contract.description ? { description: contract.description } : {}) };
  if (contract.kind === "event") {
    return { input: versioning({ ...base, name: contract.name, schema: plain(contract.data) }) };
  }
  return {
    input: versioning({ ...base, name: `${contract.name}.input`, schema: plain(contract.input) }),
    output: versioning({ ...base, name: `${contract.name}.output`, schema: plain(contract.output) }),
  };
}

export function refOf(schema: SchemaRecord): SchemaRef {
  return { name: schema.name, version: schema.version };
}

/** TypeBox marks its schemas with symbols and functions; JSON is what the registry keeps. */
function plain(schema: TSchema): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(schema)) as Record<string, unknown>;
}

interface SchemaViolation {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params?: { readonly requiredProperties?: readonly string[]; readonly allowedValues?: readonly unknown[] };
}

interface Validator {
  Check(value: unknown): boolean;
  Errors(value: unknown): readonly SchemaViolation[];
}

const validators = new WeakMap<object, Validator>();

function validatorOf(schema: object): Validator {
  let validator = validators.get(schema);
  if (!validator) {
    validator = Compile(schema as TSchema) as Validator;
    validators.set(schema, validator);
  }
  return validator;
}

/**
 * Checks `data` against a JSON Schema.
 *
 * @param what - What is being checked, for the message: `data of task "paper_search"`.
 * @param hint - What to do about it. Default: what is of use to whoever wrote the schema.
 * @throws {SoormaError} `PAYLOAD_INVALID` with the path of the first wrong field, and all of them in `details.errors`.
 */
export function checkData(
  schema: object,
  data: unknown,
  what: string,
  hint = "Correct the field, or register a new version of the schema if the schema is what is wrong.",
): void {
  const validator = validatorOf(schema);
  if (validator.Check(data)) return;
  const errors = validator.Errors(data).flatMap(explain);
  const first = errors[0] ?? { path: "/", message: "must match the schema" };
  throw new SoormaError("PAYLOAD_INVALID", `${what} does not match its schema: ${first.path} ${first.message}`, {
    details: { path: first.path, errors: errors.slice(0, 20) },
    hint,
  });
}

/** Violations as a person wants them: at the field that is missing or too many, not at the object around it. */
function explain({ keyword, instancePath, message, params }: SchemaViolation): { path: string; message: string }[] {
  if (keyword === "required" && params?.requiredProperties) {
    return params.requiredProperties.map((name) => ({ path: `${instancePath}/${name}`, message: "is missing" }));
  }
  if (keyword === "boolean") return [{ path: instancePath || "/", message: "is not allowed here" }];
  if (keyword === "enum" && params?.allowedValues) {
    const allowed = params.allowedValues.map((value) => JSON.stringify(value));
    return [{ path: instancePath || "/", message: `must be one of ${allowed.join(", ")}` }];
  }
  return [{ path: instancePath || "/", message }];
}
