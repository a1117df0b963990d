import { expect, test } from "bun:test";
import { keyLines } from "./key-lines.ts";

function linesOf(source: string): Record<string, number> {
  return Object.fromEntries(keyLines(source));
}

test("keys of nested objects are found with their lines", () => {
  expect(
    linesOf(`import { defineConfig } from "soorma/config";
const other = { a: { b: 1 } };
export default defineConfig({
  mesh: { leaseMs: 1, "renewMs": 2 },
  agents: {
    "my-agent": {
      entry: "x.ts",
    },
  },
});`),
  ).toEqual({
    mesh: 4,
    "mesh.leaseMs": 4,
    "mesh.renewMs": 4,
    agents: 5,
    "agents.my-agent": 6,
    "agents.my-agent.entry": 7,
  });
});

test("texts, comments, templates, calls and lists do not confuse it", () => {
  expect(
    linesOf(`export default {
  // dev: { port: 1 },
  /* mesh: {
  } */
  agents: { a: "b: { c: 1 }", d: \`
    e: { f: \${g}\`, h: call({ i: 1 }, [{ j: 2 }]) },
  dev: { port: process.env.P ? Number(process.env.P) : 1, drainMs: 5 },
};
const later = { x: 1 };`),
  ).toEqual({ agents: 5, "agents.a": 5, "agents.d": 5, "agents.h": 6, dev: 7, "dev.port": 7, "dev.drainMs": 7 });
});

test("what is no literal has no lines", () => {
  expect(linesOf("export default config;")).toEqual({});
  expect(linesOf("export default { ...shared, dev };")).toEqual({});
  expect(linesOf("export default { dev: {")).toEqual({ dev: 1 });
});
