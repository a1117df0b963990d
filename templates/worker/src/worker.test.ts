import { expect, test } from "bun:test";
import { testMesh } from "soorma/testing";

// The worker's file runs as it is, in a mesh of this process and in virtual time.
test("the worker does a task and refuses one without a text", async () => {
  await using mesh = await testMesh({ agents: ["worker"] });
  expect(await mesh.task("{{capability}}", { text: "to be or not to be" })).toMatchObject({ words: 6 });
  await expect(mesh.task("{{capability}}", { text: "" })).rejects.toThrow("does not match its schema");
});
