import { expect, test } from "bun:test";
import { failure, sequence, testMesh } from "soorma/testing";

// The planner's file runs as it is, in a mesh of this process and in virtual time; stubs do the tasks.
test("the report is written from both aspects, also when one has to be looked into twice", async () => {
  await using mesh = await testMesh({ agents: ["planner"] });
  const research = mesh.stub("research", sequence(failure("no connection"), "old", "new"));
  const writing = mesh.stub("writing", (_data, { task }) => Object.values(task?.inputs ?? {}).sort());

  expect(await mesh.goal("{{goal}}", { topic: "bees" })).toMatchObject({ report: ["new", "old"] });
  expect(research.calls.map(({ status }) => status)).toEqual(["failed", "done", "done"]);
  expect(writing.calls).toHaveLength(1);
});
