import { expect, test } from "bun:test";
import { showValue } from "./show.ts";

test.each([true, false])("what an agent wrote does not move the cursor, with colours: %p", (colors) => {
  const evil = "a\u001b[2J\u001b]0;title\u0007b";
  for (const value of [evil, { [evil]: [evil] }, new Error(evil), { error: new Error(evil) }]) {
    const shown = showValue(value, { json: false, colors });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
    expect(shown.replace(/\u001b\[[\d;]*m/g, "")).not.toMatch(/[\u001b\u0007]/);
  }
});
