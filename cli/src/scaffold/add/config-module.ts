import {
  applyInsertions,
  declarationOf,
  entryInsertions,
  type Node,
  nameOf,
  nodeIn,
  nodesIn,
  parseModule,
  propertyOf,
  unwrapped,
} from "./syntax.ts";

export interface ConfiguredAgent {
  readonly name: string;
  /** Relative to the project. */
  readonly entry: string;
}

/** Adds an agent to the `agents` of a `soorma.config.ts`; `undefined` when they are no plain object literal. */
export function addConfiguredAgent(source: string, agent: ConfiguredAgent): string | undefined {
  const agents = agentsOf(source);
  if (!agents) return undefined;
  const text = applyInsertions(source, entryInsertions(source, agents, configuredLine(agent)));
  return agentsOf(text) && text;
}

/** The line that lists an agent. */
export function configuredLine({ name, entry }: ConfiguredAgent): string {
  const key = /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
  return `${key}: ${JSON.stringify(entry)}`;
}

function agentsOf(source: string): Node | undefined {
  let statements: readonly Node[];
  try {
    statements = parseModule(source);
  } catch {
    return undefined;
  }
  const exported = statements.find(({ type }) => type === "ExportDefaultDeclaration");
  const config = configObject(nodeIn(exported, "declaration"), statements);
  const agents = config && unwrapped(nodeIn(propertyOf(config, "agents"), "value"));
  return agents?.type === "ObjectExpression" ? agents : undefined;
}

/** `{ … }`, `defineConfig({ … })`, or a variable of the module that is one of these. */
function configObject(node: Node | undefined, statements: readonly Node[]): Node | undefined {
  const value = unwrapped(node);
  if (value?.type === "ObjectExpression") return value;
  if (value?.type === "CallExpression") return configObject(nodesIn(value, "arguments")[0], statements);
  if (value?.type !== "Identifier") return undefined;
  const declarators = statements.flatMap((statement) => nodesIn(declarationOf(statement), "declarations"));
  const declared = declarators.find((declarator) => nameOf(nodeIn(declarator, "id")) === nameOf(value));
  const init = unwrapped(nodeIn(declared, "init"));
  return init?.type === "Identifier" ? undefined : configObject(init, statements);
}
