import { nearest } from "@soorma/core/nearest";
import { type TSchema, Type, Value } from "@soorma/core/schema";
import { type Setting, settings } from "./settings.ts";

/** What is wrong with a configuration. */
export interface ConfigFault {
  /** Dotted, of the first fault: `agents.search.instances`. */
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

const closed = { additionalProperties: false } as const;
const text = Type.String({ minLength: 1 });
/** Names of agents are names of processes and of folders. */
const agentNames = "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$";

function schemaOf({ range, pattern, default: byDefault }: Setting): TSchema {
  if (pattern !== undefined) return Type.String({ pattern });
  if (typeof byDefault === "boolean") return Type.Boolean();
  return range === undefined ? text : Type.Integer({ minimum: range[0], maximum: range[1] });
}

function section(name: string): TSchema {
  const own = settings.filter(({ path }) => path.startsWith(`${name}.`));
  const properties = own.map((setting) => [setting.path.slice(name.length + 1), Type.Optional(schemaOf(setting))]);
  return Type.Optional(Type.Object(Object.fromEntries(properties) as Record<string, TSchema>, closed));
}

function agentSchema(entry: TSchema): TSchema {
  return Type.Object(
    {
      entry,
      instances: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
      env: Type.Optional(Type.Record(Type.String(), Type.String())),
    },
    closed,
  );
}

function agents(entry: TSchema): TSchema {
  return Type.Optional(Type.Record(Type.String(), Type.Union([text, agentSchema(entry)])));
}

const plugin = Type.Optional(
  Type.Union([
    text,
    Type.Object(
      { name: Type.Optional(text), options: Type.Optional(Type.Record(Type.String(), Type.Unknown())) },
      closed,
    ),
  ]),
);

const overlay = {
  mesh: section("mesh"),
  plugins: Type.Optional(Type.Object({ transport: plugin, registry: plugin }, closed)),
  memory: section("memory"),
  tracker: section("tracker"),
  dev: section("dev"),
};

const configSchema = Type.Object(
  {
    agents: agents(text),
    ...overlay,
    environments: Type.Optional(
      Type.Record(Type.String(), Type.Object({ agents: agents(Type.Optional(text)), ...overlay }, closed)),
    ),
  },
  closed,
);

/** The first thing that is wrong with what a `soorma.config.ts` exports. */
export function configFault(value: unknown): ConfigFault | undefined {
  // Keys first: a misspelt key is the likelier mistake than whatever else it leads to.
  const unknown = unknownKey(value, configSchema as SchemaNode, "");
  if (unknown) return unknown;
  const errors = Value.Errors(configSchema, value);
  // Of a union's complaints the deepest says most.
  const [first] = [...errors].sort((a, b) => depth(b.instancePath) - depth(a.instancePath));
  if (first)
    return { path: dotted(first.instancePath), message: `${first.message}, not ${brief(value, first.instancePath)}` };
  return wrongName(value) ?? notJson(value);
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  readonly anyOf?: readonly SchemaNode[];
}

function unknownKey(value: unknown, schema: SchemaNode, path: string): ConfigFault | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const node = schema.anyOf?.find((option) => option.properties) ?? schema;
  const [rest] = Object.values(node.patternProperties ?? {});
  for (const [key, inner] of Object.entries(value)) {
    const at = path === "" ? key : `${path}.${key}`;
    const next = Object.hasOwn(node.properties ?? {}, key) ? node.properties?.[key] : rest;
    if (!next) {
      if (!node.properties) return undefined;
      return { path: at, message: "is not known here", hint: suggestion(key, Object.keys(node.properties)) };
    }
    const fault = unknownKey(inner, next, at);
    if (fault) return fault;
  }
  return undefined;
}

function suggestion(key: string, known: readonly string[]): string {
  // People leave the unit out.
  const bare = known.map((name) => name.replace(/(Ms|Bytes)$/, ""));
  const guess = nearest(key, known) ?? known[bare.indexOf(nearest(key, bare) ?? "")];
  if (guess !== undefined) return `did you mean "${guess}"?`;
  const elsewhere = nearest(
    key,
    settings.map(({ path }) => path.slice(path.indexOf(".") + 1)),
  );
  const found = settings.find(({ path }) => elsewhere !== undefined && path.endsWith(`.${elsewhere}`));
  return found ? `did you mean "${found.path}"?` : `known are ${known.join(", ")}`;
}

/** Two agents must not become processes of the same name. */
function wrongName(value: unknown): ConfigFault | undefined {
  const all = (value as { agents?: object; environments?: Record<string, { agents?: object }> }) ?? {};
  const groups: [string, object][] = [
    ["agents", all.agents ?? {}],
    ...Object.entries(all.environments ?? {}).map(([name, one]): [string, object] => [
      `environments.${name}.agents`,
      one.agents ?? {},
    ]),
  ];
  const pattern = new RegExp(agentNames);
  for (const [path, group] of groups) {
    for (const name of Object.keys(group)) {
      if (["broker", "state", "soorma"].includes(name)) {
        return {
          path: `${path}.${name}`,
          message: `is the name of a part of soorma`,
          hint: "call the agent something else",
        };
      }
      if (pattern.test(name)) continue;
      return {
        path: `${path}.${name}`,
        message: "is no name of an agent",
        hint: "take letters, digits, and . _ - between them",
      };
    }
  }
  return undefined;
}

/** A plugin's options go to every process of the mesh as JSON. */
function notJson(value: unknown, path = ""): ConfigFault | undefined {
  if (value === undefined || value === null || ["string", "boolean"].includes(typeof value)) return undefined;
  if (typeof value === "number") {
    return Number.isFinite(value) ? undefined : { path, message: `is ${value}, which JSON cannot say` };
  }
  if (typeof value !== "object")
    return { path, message: `is a ${typeof value}: other processes cannot get it, only JSON` };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
    return { path, message: "is an object of a class: other processes cannot get it, only JSON" };
  }
  for (const [key, inner] of Object.entries(value)) {
    const fault = notJson(inner, path === "" ? key : `${path}.${key}`);
    if (fault) return fault;
  }
  return undefined;
}

function depth(path: string): number {
  return path.split("/").length;
}

function dotted(pointer: string): string {
  return tokens(pointer).join(".") || "(the whole)";
}

function tokens(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function brief(root: unknown, pointer: string): string {
  let value = root;
  for (const key of tokens(pointer)) value = (value as Record<string, unknown> | undefined)?.[key];
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" && value.length > 60
    ? `a text of ${value.length} characters`
    : String(JSON.stringify(value));
}
