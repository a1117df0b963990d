import { expect, test } from "bun:test";
import { jsonFaultAt, parseJsonArgument } from "./json.ts";

test.each([
  ["{", 1],
  ["{topic:1}", 1],
  [`{"topic" "bees"}`, 9],
  [`{"a":1,}`, 7],
  [`{"a":'x'}`, 5],
  ["[1 2]", 3],
  [`"a\nb"`, 2],
  [`"\\x"`, 2],
  [`"\\u12g4"`, 5],
  ["truth", 3],
  ["{} {}", 3],
  ["", 0],
  ["-", 1],
  ["01", 1],
])("the fault in %j is at %d", (text, at) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(jsonFaultAt(text)).toBe(at);
});

test.each([`{"a":[1,-2.5e3,"x\\u00e4\\n",true,false,null,{}]}`, " [ ] ", `"x"`, "0"])("%s has no fault", (text) => {
  JSON.parse(text);
  expect(jsonFaultAt(text)).toBe(text.length);
});

test("the message shows the place", () => {
  expect(() => parseJsonArgument(`{"topic": bees}`, "the goal's data")).toThrow(
    `the goal's data is not JSON: "b" was not expected there`,
  );
  expect(() => parseJsonArgument(`{"topic": bees}`, "the goal's data")).toThrow(/character 11 of 15\)\n.*\n {12}\^/);
  expect(() => parseJsonArgument('{"a":', "it")).toThrow("it is not JSON: it ends too early (after 5 characters)\n");
});
