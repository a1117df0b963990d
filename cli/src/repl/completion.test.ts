import { expect, test } from "bun:test";
import { complete } from "./completion.ts";

class Client {
  readonly bus = { publish() {}, request() {} };
  submitGoal() {}
  #secret = 1;
  secret() {
    return this.#secret;
  }
}
const global = { client: new Client(), clock: 1, memory: { store() {} }, text: "abc" };
const sources = { scope: ["client", "memory"], names: () => ["calculator", "count-words"], global };

test.each([
  ["", ["client", "memory"], ""],
  ["cl", ["client", "clock"], "cl"],
  ["await cli", ["client"], "cli"],
  ["client.su", ["submitGoal"], "su"],
  ["client?.bus.", ["publish", "request"], ""],
  ["f(client.bus.re", ["request"], "re"],
  ["text.toUpperC", ["toUpperCase"], "toUpperC"],
  ["nothing.at.", [], ""],
  ["nothing.at.all.", [], ""],
  ["aw", ["await"], "aw"],
  ['registry.find("ca', ["calculator"], "ca"],
  ["registry.find('", ["calculator", "count-words"], ""],
  ['registry.find("ca") ', [], ""],
  ['f("a", cli', ["client"], "cli"],
])("%s", (line, candidates, begun) => {
  expect(complete(line, sources)).toEqual([candidates, begun]);
});
