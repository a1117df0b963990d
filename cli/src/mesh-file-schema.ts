import { type Static, Type, Value } from "@soorma/core/schema";

const pluginChoice = Type.Object({
  name: Type.String({ minLength: 1 }),
  options: Type.Record(Type.String(), Type.Unknown()),
});

const meshFileSchema = Type.Object({
  version: Type.Literal(1),
  transport: pluginChoice,
  registry: pluginChoice,
  /** What every node of the mesh has to agree on; what is absent is core's default. */
  node: Type.Optional(
    Type.Object({
      tenantId: Type.Optional(Type.String({ minLength: 1 })),
      leaseMs: Type.Optional(Type.Integer({ minimum: 1 })),
      renewMs: Type.Optional(Type.Integer({ minimum: 1 })),
      maxFrameBytes: Type.Optional(Type.Integer({ minimum: 1 })),
    }),
  ),
  /** Absent when the registry is none that `soorma dev` runs. */
  broker: Type.Optional(Type.Object({ address: Type.String({ minLength: 1 }), pid: Type.Integer({ minimum: 1 }) })),
  state: Type.Object({ pid: Type.Integer({ minimum: 1 }) }),
  supervisor: Type.Object({ pid: Type.Integer({ minimum: 1 }), startTime: Type.String() }),
  startedAtMs: Type.Number(),
});

/** Where a running local mesh is, and what it is made of. */
export type MeshFile = Static<typeof meshFileSchema>;

/** What is wrong with a value that should be a mesh file: path and reason of the first fault. */
export function faultOf(value: unknown): string | undefined {
  const [first] = Value.Errors(meshFileSchema, value);
  return first && `${first.instancePath || "/"} ${first.message}`;
}
