import { nearest } from "@soorma/core/nearest";
import { type Static, Type, Value } from "@soorma/core/schema";

const agent = Type.Object(
  {
    /** The agent's file, relative to the project. */
    entry: Type.String({ minLength: 1 }),
    /** Processes of it. Default 1. */
    instances: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    /** Set for its processes in addition. */
    env: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  { additionalProperties: false },
);

const configSchema = Type.Object(
  {
    /** By name: a file, or a file with options. Default: `src/agents/*.ts`, else `src/agent.ts`, else `agent.ts`. */
    agents: Type.Optional(Type.Record(Type.String(), Type.Union([Type.String({ minLength: 1 }), agent]))),
    dev: Type.Optional(
      Type.Object(
        {
          /** The broker's TCP port on 127.0.0.1. Default: a socket file. */
          port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
          /** Milliseconds an agent has to finish its work when it is stopped. Default 10_000. */
          drainMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_600_000 })),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);

export type Config = Static<typeof configSchema>;

/** What is wrong with a configuration: the path of the first fault, what it is, and what was perhaps meant. */
export function configFault(value: unknown): { path: string; message: string; hint?: string } | undefined {
  // Keys first: a misspelt key is the likelier mistake than whatever else it leads to.
  const unknown = unknownKey(value, configSchema as unknown as SchemaNode, "");
  if (unknown) return unknown;
  const errors = Value.Errors(configSchema, value);
  // Of a union's complaints the deepest says most.
  const [first] = [...errors].sort((a, b) => depth(b.instancePath) - depth(a.instancePath));
  return first && { path: first.instancePath.slice(1).replaceAll("/", ".") || "(the whole)", message: first.message };
}

function depth(path: string): number {
  return path.split("/").length;
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly anyOf?: readonly SchemaNode[];
}

function unknownKey(
  value: unknown,
  schema: SchemaNode,
  path: string,
): { path: string; message: string; hint?: string } | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const node = schema.anyOf?.find((option) => option.properties) ?? schema;
  const [rest] = Object.values(node.patternProperties ?? {});
  for (const [key, inner] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`;
    const next = node.properties?.[key] ?? rest;
    if (!next) {
      if (!node.properties) return undefined;
      const known = Object.keys(node.properties);
      const guess = nearest(key, known);
      return {
        path: at,
        message: "is not known here",
        hint: guess ? `did you mean "${guess}"?` : `known are ${known.join(", ")}`,
      };
    }
    const fault = unknownKey(inner, next, at);
    if (fault) return fault;
  }
  return undefined;
}
