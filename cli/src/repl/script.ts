import { type Evaluator, unfinished } from "./evaluator.ts";

/**
 * Runs statements as they come in, one after the other, and hands on what each gave. A statement may have several lines.
 *
 * @throws what the first statement that fails throws; those after it are not run.
 */
export async function runScript(
  lines: AsyncIterable<string> | Iterable<string>,
  evaluator: Evaluator,
  give: (value: unknown) => void,
): Promise<void> {
  let text = "";
  for await (const line of lines) {
    text = text === "" ? line : `${text}\n${line}`;
    const statement = evaluator.compile(text);
    if (statement === unfinished) continue;
    text = "";
    give(await evaluator.run(statement));
  }
  if (text.trim() !== "") throw new SyntaxError(`the input ends within a statement: ${text.split("\n")[0]}`);
}
