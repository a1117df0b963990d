import {
  applyInsertions,
  declarationOf,
  endOfLine,
  type Insertion,
  type Node,
  nameOf,
  nodeIn,
  nodesIn,
  parseModule,
  propertyOf,
  unwrapped,
  walk,
} from "./syntax.ts";

export type AgentKind = "worker" | "planner" | "tool";

/** An agent made at the top of a module: `const worker = new Worker({ … })`. */
export interface ModuleAgent {
  readonly kind: AgentKind;
  /** The variable it is in. */
  readonly variable: string;
  /** What it is called on the mesh, where that is a plain text. */
  readonly name: string | undefined;
  readonly capabilities: readonly string[];
}

/** What an agent gets: a handler for a contract of another module. */
export interface Wiring {
  readonly method: "onTask" | "onInvoke" | "onEvent" | "onGoal";
  /** As the agent's module imports it: `../tasks/resize.ts`. */
  readonly from: string;
  readonly contract: string;
  readonly handler: string;
  /** The second argument, given what the handler is called here. */
  call(handler: string): string;
}

export type Wired =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string; readonly lines: readonly string[] };

const kinds: ReadonlyMap<string, AgentKind> = new Map([
  ["Worker", "worker"],
  ["Planner", "planner"],
  ["Tool", "tool"],
]);

/** The agents a module makes. @throws {SyntaxError} when it cannot be read. */
export function agentsIn(source: string): ModuleAgent[] {
  return findAgents(parseModule(source)).map(({ agent }) => agent);
}

/** The modules beside it that a module imports something of, as it names them. */
export function relativeImports(source: string): string[] {
  return parseModule(source).flatMap((statement) => {
    const from = statement.type === "ImportDeclaration" ? nameOf(nodeIn(statement, "source")) : undefined;
    return from?.startsWith(".") ? [from] : [];
  });
}

/** Adds a handler to an agent; when that cannot be done without guessing, says which lines do it. */
export function wireContract(source: string, variable: string, wiring: Wiring): Wired {
  const statements = parseModule(source);
  const found = findAgents(statements).find(({ agent }) => agent.variable === variable);
  const lines = wiringLines(variable, wiring, identifiersIn(statements));
  if (!found) return { ok: false, reason: `it makes no agent called ${variable} at its top level`, lines };
  const [importLine, handlerLine] = lines;
  const place = handlerPlace(source, statements, variable, found.statement);
  const text = applyInsertions(source, [
    importPlace(source, statements, importLine),
    { at: place.at, text: `${place.before}${handlerLine}${place.after}` },
  ]);
  try {
    parseModule(text);
  } catch {
    return { ok: false, reason: "the result would be no TypeScript", lines };
  }
  return { ok: true, text };
}

/** The import and the handler; what is imported gets another name where its own is taken. */
export function wiringLines(variable: string, wiring: Wiring, taken: ReadonlySet<string>): [string, string] {
  const contract = unusedName(wiring.contract, taken);
  const handler = unusedName(wiring.handler, taken);
  const imported = (name: string, local: string): string => (name === local ? name : `${name} as ${local}`);
  const names = [imported(wiring.contract, contract), imported(wiring.handler, handler)].sort();
  return [
    `import { ${names.join(", ")} } from "${wiring.from}";`,
    `${variable}.${wiring.method}(${contract}, ${wiring.call(handler)});`,
  ];
}

interface FoundAgent {
  readonly agent: ModuleAgent;
  readonly statement: Node;
}

function findAgents(statements: readonly Node[]): FoundAgent[] {
  const classes = soormaClasses(statements);
  return statements.flatMap((statement) => {
    const declaration = declarationOf(statement);
    if (declaration.type !== "VariableDeclaration") return [];
    return nodesIn(declaration, "declarations").flatMap((declarator) => {
      const variable = nameOf(nodeIn(declarator, "id"));
      const made = madeBy(nodeIn(declarator, "init"));
      const kind = classes.get(nameOf(nodeIn(made, "callee")) ?? "");
      if (variable === undefined || !made || !kind) return [];
      const argument = unwrapped(nodesIn(made, "arguments")[0]);
      const options = argument?.type === "ObjectExpression" ? argument : undefined;
      const name = options && nameOf(unwrapped(nodeIn(propertyOf(options, "name"), "value")));
      const list = options && unwrapped(nodeIn(propertyOf(options, "capabilities"), "value"));
      const capabilities = nodesIn(list, "elements").flatMap((element) => nameOf(element) ?? []);
      return [{ agent: { kind, variable, name, capabilities }, statement }];
    });
  });
}

/** Local names of the classes agents are made of. */
function soormaClasses(statements: readonly Node[]): Map<string, AgentKind> {
  const classes = new Map<string, AgentKind>();
  for (const statement of statements) {
    if (statement.type !== "ImportDeclaration" || nameOf(nodeIn(statement, "source")) !== "soorma") continue;
    for (const specifier of nodesIn(statement, "specifiers")) {
      const kind = kinds.get(nameOf(nodeIn(specifier, "imported")) ?? "");
      const local = nameOf(nodeIn(specifier, "local"));
      if (kind && local !== undefined) classes.set(local, kind);
    }
  }
  return classes;
}

/** The `new` in `new Worker({ … })`, also with handlers chained to it. */
function madeBy(node: Node | undefined): Node | undefined {
  const value = unwrapped(node);
  if (value?.type === "NewExpression") return value;
  if (value?.type === "CallExpression") return madeBy(nodeIn(nodeIn(value, "callee"), "object"));
  return undefined;
}

/** Handlers have to be there before the agent runs; one that is run elsewhere gets them at the end of the module. */
function handlerPlace(
  source: string,
  statements: readonly Node[],
  variable: string,
  made: Node,
): { readonly at: number; readonly before: string; readonly after: string } {
  const following = statements.slice(statements.indexOf(made) + 1);
  const run = following.find((statement) => [...walk(statement)].some((node) => isRunOf(node, variable)));
  const previous = run ? statements[statements.indexOf(run) - 1] : statements.at(-1);
  const isOneLine = previous && previous !== made && !source.slice(previous.start, previous.end).includes("\n");
  const endOfPrevious = previous ? endOfLine(source, previous) : 0;
  if (!run || (isOneLine && endOfPrevious < run.start)) {
    return { at: endOfPrevious, before: isOneLine ? "\n" : "\n\n", after: "" };
  }
  // Comments on the lines above the statement belong to it.
  const gapStart = Math.min(endOfPrevious, run.start);
  const comment = source.slice(gapStart, run.start).search(/\S/);
  return { at: comment < 0 ? run.start : gapStart + comment, before: "", after: "\n\n" };
}

function identifiersIn(statements: readonly Node[]): Set<string> {
  const names = new Set<string>();
  for (const statement of statements) {
    for (const node of walk(statement)) {
      if (node.type === "Identifier" && typeof node.name === "string") names.add(node.name);
    }
  }
  return names;
}

function isRunOf(node: Node, variable: string): boolean {
  const callee = node.type === "CallExpression" ? nodeIn(node, "callee") : undefined;
  return nameOf(nodeIn(callee, "object")) === variable && nameOf(nodeIn(callee, "property")) === "run";
}

function importPlace(source: string, statements: readonly Node[], line: string): Insertion {
  const last = statements.findLast(({ type }) => type === "ImportDeclaration");
  if (last) return { at: endOfLine(source, last), text: `\n${line}` };
  const shebang = /^#!.*\r?\n/.exec(source)?.[0].length ?? 0;
  return { at: shebang, text: `${line}\n` };
}

function unusedName(name: string, taken: ReadonlySet<string>): string {
  let candidate = name;
  for (let count = 2; taken.has(candidate); count++) candidate = `${name}${count}`;
  return candidate;
}
