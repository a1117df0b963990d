import { checkData } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { isWherePath, maxWhereParts, maxWhereText } from "../events/where.ts";
import type { PlanChange } from "../plans/log.ts";
import { type TSchema, Type } from "../schema.ts";

const id = Type.String({ minLength: 1, maxLength: 512 });
const name = Type.String({ minLength: 1, maxLength: 1_024 });
const text = Type.String();
const attempt = Type.Integer({ minimum: 0 });
const durationMs = Type.Optional(Type.Number({ minimum: 0 }));

const failure = Type.Object({
  code: Type.String(),
  message: Type.String(),
  retryable: Type.Boolean(),
  hint: Type.Optional(Type.String()),
  details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
});

const retry = Type.Object({
  maxAttempts: Type.Optional(Type.Number()),
  backoffMs: Type.Optional(Type.Number()),
  maxBackoffMs: Type.Optional(Type.Number()),
});

const waitSpec = Type.Union([
  Type.Object({ kind: Type.Literal("input"), prompt: text }),
  Type.Object({
    kind: Type.Literal("event"),
    pattern: Type.String({ minLength: 1, maxLength: 200 }),
    topic: Type.Optional(Type.String({ maxLength: 100 })),
    where: Type.Optional(
      Type.Refine(
        Type.Record(
          Type.String(),
          Type.Union([Type.String({ maxLength: maxWhereText }), Type.Number(), Type.Boolean(), Type.Null()]),
          { maxProperties: maxWhereParts },
        ),
        (where) => Object.keys(where).every(isWherePath),
      ),
    ),
  }),
  Type.Object({ kind: Type.Literal("sleep"), ms: Type.Number() }),
]);

const task = Type.Object({
  taskId: id,
  name,
  assignedTo: Type.Optional(text),
  goal: Type.Optional(text),
  wait: Type.Optional(waitSpec),
  templated: Type.Optional(Type.Boolean()),
  dependsOn: Type.Optional(Type.Array(name)),
  forEach: Type.Optional(Type.Object({ over: text, concurrency: Type.Optional(Type.Number()) })),
  retry: Type.Optional(retry),
  timeoutMs: Type.Optional(Type.Number()),
  priority: Type.Optional(Type.Number()),
  undo: Type.Optional(
    Type.Object({ assignedTo: text, retry: Type.Optional(retry), timeoutMs: Type.Optional(Type.Number()) }),
  ),
  parentTaskId: Type.Optional(id),
  item: Type.Optional(Type.Object({ index: Type.Integer({ minimum: 0 }) })),
  undoes: Type.Optional(id),
});
const tasks = Type.Array(task);

const origin = Type.Object({
  goalId: text,
  goalType: text,
  traceId: text,
  correlationId: text,
  parentId: Type.Optional(text),
  sessionId: Type.Optional(text),
  tenantId: text,
  userId: Type.Optional(text),
  responseEvent: Type.Optional(text),
  responseTopic: Type.Optional(text),
  deadline: Type.Optional(Type.Number()),
  parentPlanId: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  parentTaskId: Type.Optional(id),
  replayOf: Type.Optional(text),
  replayFrom: Type.Optional(text),
  hops: Type.Optional(Type.Number()),
  // They are parts of keys, whose length is limited.
  planner: Type.String({ maxLength: 256 }),
});

/** The form of every change. What else has to be right of it is for the plan's fold to say. */
const schemas: { readonly [T in PlanChange["type"]]: TSchema } = {
  "plan.created": Type.Object({ origin, driver: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })) }),
  "plan.driven": Type.Object({ driver: Type.String({ minLength: 1, maxLength: 256 }), epoch: Type.Integer() }),
  "plan.started": Type.Object({
    tasks,
    budget: Type.Optional(
      Type.Object({ maxTasks: Type.Optional(Type.Number()), maxDurationMs: Type.Optional(Type.Number()) }),
    ),
    grows: Type.Optional(Type.Boolean()),
    state: Type.Optional(text),
    causes: Type.Optional(Type.Record(Type.String(), Type.String())),
  }),
  "plan.transitioned": Type.Object({
    taskId: id,
    to: Type.Optional(text),
    tasks: Type.Optional(tasks),
    handled: Type.Optional(Type.Boolean()),
  }),
  "task.delegated": Type.Object({ taskId: id, tasks }),
  "task.expanded": Type.Object({ taskId: id, tasks }),
  "task.reused": Type.Object({ taskId: id, undecided: Type.Optional(Type.Boolean()) }),
  "task.dispatched": Type.Object({
    taskId: id,
    attempt,
    agentId: Type.Optional(id),
    agentName: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  }),
  "task.assigned": Type.Object({
    taskId: id,
    attempt,
    agentId: id,
    agentName: Type.String({ minLength: 1, maxLength: 256 }),
  }),
  "task.progress": Type.Object({
    taskId: id,
    attempt: Type.Optional(attempt),
    fraction: Type.Number(),
    message: Type.Optional(text),
  }),
  "task.stepped": Type.Object({ taskId: id, attempt, key: name, durationMs }),
  "task.waiting": Type.Object({
    taskId: id,
    attempt,
    key: Type.String({ minLength: 1, maxLength: 512 }),
    on: waitSpec,
    untilMs: Type.Optional(Type.Number()),
  }),
  "task.signalled": Type.Object({ taskId: id, key: name }),
  "task.timedout": Type.Object({ taskId: id, attempt, key: name }),
  "task.succeeded": Type.Object({ taskId: id, attempt, durationMs }),
  "task.retried": Type.Object({
    taskId: id,
    attempt,
    failure,
    delayMs: Type.Number({ minimum: 0 }),
    durationMs,
    uncounted: Type.Optional(Type.Boolean()),
  }),
  "task.failed": Type.Object({ taskId: id, attempt: Type.Optional(attempt), failure, durationMs }),
  "task.cancelled": Type.Object({ taskId: id, reason: text }),
  "task.revived": Type.Object({ taskId: id }),
  "task.discarded": Type.Object({ taskId: id, reason: Type.Optional(text) }),
  "plan.paused": Type.Object({ reason: Type.Optional(text) }),
  "plan.resumed": Type.Object({}),
  "plan.completed": Type.Object({}),
  "plan.failed": Type.Object({ failure }),
  "plan.cancelled": Type.Object({ reason: text }),
  "plan.undone": Type.Object({}),
  "plan.answered": Type.Object({}),
};

/**
 * Checks the form of what somebody wants to append.
 *
 * @throws {SoormaError} `PAYLOAD_INVALID` with the path of what is wrong, and for changes there are not.
 */
export function checkChange(change: { readonly type: string }, tenant: string): asserts change is PlanChange {
  const { type } = change;
  if (!isChangeType(type)) {
    throw new SoormaError("PAYLOAD_INVALID", `a plan knows no change ${JSON.stringify(type.slice(0, 64))}`, {
      hint: "Run the same version of Soorma everywhere in the mesh.",
    });
  }
  checkData(schemas[type], change, `the change ${type}`);
  const created = change as PlanChange;
  if (created.type === "plan.created" && created.origin.tenantId !== tenant) {
    throw new SoormaError("PAYLOAD_INVALID", `a plan of tenant "${tenant}" cannot be made for another one`);
  }
}

function isChangeType(type: string): type is PlanChange["type"] {
  return Object.hasOwn(schemas, type);
}
