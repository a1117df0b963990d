import { expect, test } from "bun:test";
import { compileRedaction } from "./redact.ts";

test("what is taken out of a task's data is taken out of it where a handler delegates the task, too", () => {
  const redact = compileRedaction(["data.card.number"]);
  const data = { card: { number: "4111", holder: "Ann" } };
  const taken = { card: { number: "[redacted]", holder: "Ann" } };
  expect(redact({ kind: "task", data })).toEqual({ kind: "task", data: taken });
  expect(redact({ kind: "delegate", tasks: [{ name: "charge", assignedTo: "bank", data }] })).toEqual({
    kind: "delegate",
    tasks: [{ name: "charge", assignedTo: "bank", data: taken }],
  });
});
