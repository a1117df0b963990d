import { expect, test } from "bun:test";
import { mergeManifests } from "./manifest.ts";

test("objects are joined, of anything else the last stands, null takes away, dependencies are sorted", () => {
  const merged = mergeManifests([
    '{"name":"a","private":true,"scripts":{"dev":"x"},"files":["a"],"dependencies":{"b":"1","soorma":"1"}}',
    '{"name":"b","private":null,"scripts":{"test":"y"},"files":["b"],"dependencies":{"a":"1","soorma":null}}',
  ]);
  expect(merged).toBe(
    `${JSON.stringify({ name: "b", scripts: { dev: "x", test: "y" }, files: ["b"], dependencies: { a: "1", b: "1" } }, undefined, 2)}\n`,
  );
});
