import { type Static, Type } from "soorma";

/** What a request brings along. Anything else is refused before it gets here. */
export const Input = Type.Object({ expression: Type.String({ minLength: 1, maxLength: 1000 }) });

/** What it is answered with. */
export const Output = Type.Object({ result: Type.Number() });

/** Evaluates `+ - * /` and parentheses. An error thrown here is what the caller gets. */
export function calculate({ expression }: Static<typeof Input>): Static<typeof Output> {
  const tokens = expression.match(/\d+(\.\d+)?|\S/g) ?? [];
  let at = 0;

  function sum(): number {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") value += tokens[at++] === "+" ? product() : -product();
    return value;
  }
  function product(): number {
    let value = factor();
    while (tokens[at] === "*" || tokens[at] === "/") value = tokens[at++] === "*" ? value * factor() : value / factor();
    return value;
  }
  function factor(): number {
    const token = tokens[at++];
    if (token === "-") return -factor();
    if (token === "(") {
      const value = sum();
      if (tokens[at++] !== ")") throw new Error(`a parenthesis is not closed in "${expression}"`);
      return value;
    }
    const number = Number(token);
    if (Number.isNaN(number))
      throw new Error(`a number was expected instead of "${token ?? "the end"}" in "${expression}"`);
    return number;
  }

  const result = sum();
  if (at < tokens.length) throw new Error(`"${tokens[at]}" was not expected in "${expression}"`);
  return { result };
}
