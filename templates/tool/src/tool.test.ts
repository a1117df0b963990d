import { expect, test } from "bun:test";
import { testMesh } from "soorma/testing";

// The tool's file runs as it is, in a mesh of this process.
test("the tool answers, and its caller gets what goes wrong", async () => {
  await using mesh = await testMesh({ agents: ["tool"] });
  const tool = await mesh.registry.find("{{capability}}");
  expect(await tool?.invoke("calculate", { expression: "2 * (3 + 4)" })).toEqual({ result: 14 });
  await expect(mesh.request("calculate", { expression: "2 +" })).rejects.toThrow("a number was expected");
});
