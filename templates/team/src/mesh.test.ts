import { expect, test } from "bun:test";
import { testMesh } from "soorma/testing";

// The agents' files run as they are, in a mesh of this process and in virtual time.
test("a question is answered from the notes, by all four agents", async () => {
  await using mesh = await testMesh({ agents: ["planner", "searcher", "writer", "clock"] });
  const { answer } = await mesh.goal("{{goal}}", { question: "How do bees find flowers?" });
  expect(answer).toMatchObject({ sources: ["bees.md"], readingSeconds: 5 });
  expect(mesh.calls.map(({ name }) => name)).toEqual(["{{goal}}", "search", "answer", "estimate"]);
});

test("while nobody tells the reading time, there is none", async () => {
  await using mesh = await testMesh({ agents: ["planner", "writer"] });
  mesh.stub("note_search", []);
  const { answer } = await mesh.goal("{{goal}}", { question: "Zebras?" });
  expect(answer).toEqual({ answer: "The notes say nothing about that.", sources: [], readingSeconds: 0 });
});
