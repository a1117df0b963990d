import { join } from "node:path";
import { runInThisContext } from "node:vm";

/** What was read is the beginning of a statement. */
export const unfinished = Symbol("unfinished");

/** What can be run. */
export interface Statement {
  readonly code: string;
  /** It only declares something: what that is now is of no interest. */
  readonly declares: boolean;
}

/**
 * Evaluates statements of TypeScript one after the other, in this process's global scope, with `await` and `import` at the top level. What
 * one declares the next ones see; `const` may be declared again.
 */
export class Evaluator {
  readonly #cwd: string;
  readonly #transpiler = new Bun.Transpiler({ loader: "ts", replMode: true });

  /** @param cwd - Folder that imports are looked for from. */
  constructor(cwd: string, scope: Readonly<Record<string, unknown>>) {
    this.#cwd = cwd;
    for (const [name, value] of Object.entries(scope)) this.define(name, value);
  }

  define(name: string, value: unknown): void {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
  }

  /**
   * A statement that can be run, or {@link unfinished} when more lines are needed.
   *
   * @throws what the compiler says is wrong with it.
   */
  compile(text: string): Statement | typeof unfinished {
    try {
      const code = this.#transpiler.transformSync(text);
      return { code, declares: isDeclaration(text, code) };
    } catch (error) {
      if (isUnfinished(error, text)) return unfinished;
      throw syntaxError(error);
    }
  }

  /** The value of the last expression, awaited; of a declaration nothing. */
  async run({ code, declares }: Statement): Promise<unknown> {
    const outcome: unknown = await runInThisContext(code, {
      filename: join(this.#cwd, "repl.ts"),
      importModuleDynamically: (specifier) => import(Bun.resolveSync(specifier, this.#cwd)),
    });
    // Wrapped, so that what is awaited here is not what the statement gave; that is awaited as well.
    const value = await (outcome as { readonly value?: unknown } | undefined)?.value;
    return declares ? undefined : value;
  }
}

/** The compiler makes the last declaration the value: it is the only statement, or what an import brings in. */
function isDeclaration(text: string, code: string): boolean {
  const [, keyword] = /^\s*(?:async\s+)?(const|let|var|class|function|import)\b(?!\s*\()/.exec(text) ?? [];
  if (keyword === undefined) return false;
  return keyword === "import" ? /value: [\w$]+ = import_[\w$]+\./.test(code) : /=> \{\n\s*return \{/.test(code);
}

function messagesOf(error: unknown): string[] {
  const errors = error instanceof AggregateError ? error.errors : [error];
  return errors.map((one) => (one instanceof Error || isBuildMessage(one) ? one.message : String(one)));
}

function isBuildMessage(value: unknown): value is { message: string } {
  return typeof value === "object" && value !== null && "message" in value && typeof value.message === "string";
}

/** The compiler complains of nothing but the end, or of a text or comment that goes on. */
function isUnfinished(error: unknown, text: string): boolean {
  const messages = messagesOf(error);
  if (messages.length === 0) return false;
  const opens = /Unexpected end of file|but found end of file|Expected "\*\/" to terminate/;
  if (messages.every((message) => opens.test(message))) return true;
  const template = messages.some((message) => message.includes("Unterminated template literal"));
  return template || (messages.some((message) => message.includes("Unterminated string")) && endsInTemplate(text));
}

/** An odd number of back-ticks: a template is open. */
function endsInTemplate(text: string): boolean {
  return (text.match(/(?<!\\)`/g)?.length ?? 0) % 2 === 1;
}

function syntaxError(error: unknown): SyntaxError {
  return new SyntaxError(messagesOf(error).join("; "));
}
