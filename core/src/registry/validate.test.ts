import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { agentRecord } from "../../testing/records.ts";
import { isSoormaError } from "../errors.ts";
import { parseAgentIds, parseAgentQuery, parseAgentRecord, parseLeaseMs, parseSchemaQuery } from "./validate.ts";

const good = agentRecord({
  agentId: "Research-worker:7f@host/2",
  name: "research-worker",
  capabilities: ["paper_search", "soorma.state"],
  tasks: [
    {
      name: "paper_search",
      description: "",
      input: { name: "q", version: "1.0.0" },
      retry: { maxAttempts: 5, backoffMs: 10 },
      timeoutMs: 1_000,
      priority: -1,
    },
  ],
  consumes: [{ type: "order.>", topic: "business-facts", group: "g" }, { type: "order.>" }],
  produces: [{ type: "order.created" }],
});

function pathOf(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return isSoormaError(error, "REGISTRY_REFUSED") ? error.details?.path : error;
  }
  return "accepted";
}

test("a good record is read as it is, without what nobody knows", () => {
  expect(parseAgentRecord(good)).toEqual(good);
  expect(parseAgentRecord({ ...good, secret: 1, tasks: [{ ...good.tasks[0], x: 1 }] })).toEqual(good);
});

describe("a wrong field is named by its path", () => {
  const wrong: readonly (readonly [string, object])[] = [
    ["record.agentId", { agentId: "" }],
    ["record.agentId", { agentId: "a b" }],
    ["record.agentId", { agentId: "x".repeat(257) }],
    ["record.name", { name: "Research Worker" }],
    ["record.name", { name: "-worker" }],
    ["record.name", { name: 7 }],
    ["record.kind", { kind: "boss" }],
    ["record.description", { description: "x".repeat(4_097) }],
    ["record.version", { version: "" }],
    ["record.tenant", { tenant: undefined }],
    ["record.capabilities", { capabilities: "paper_search" }],
    ["record.capabilities", { capabilities: Array(257).fill("a") }],
    ["record.capabilities[1]", { capabilities: ["a", "häuft"] }],
    ["record.goals[0].name", { goals: [{}] }],
    ["record.tasks[0]", { tasks: [null] }],
    ["record.tasks[0].retry.maxAttempts", { tasks: [{ name: "t", retry: { maxAttempts: 0 } }] }],
    ["record.tasks[0].timeoutMs", { tasks: [{ name: "t", timeoutMs: -1 }] }],
    ["record.tasks[0].priority", { tasks: [{ name: "t", priority: "high" }] }],
    ["record.operations[0].input.version", { operations: [{ name: "a", input: { name: "b", version: "1.0" } }] }],
    ["record.consumes[0].type", { consumes: [{ type: "a.>.b" }] }],
    ["record.consumes[0].topic", { consumes: [{ type: "a", topic: "facts" }] }],
    ["record.produces[0].type", { produces: [{ type: "order.*" }] }],
    ["record.concurrency", { concurrency: 1.5 }],
    ["record.concurrency", { concurrency: -1 }],
    ["record.ready", { ready: "yes" }],
    ["record.nodeId", { nodeId: "N1" }],
    ["record.address", { address: "a b" }],
    ["record.address", { address: "a\nb" }],
    ["record.host", { host: "" }],
    ["record.pid", { pid: Number.NaN }],
    ["record.startedAtMs", { startedAtMs: Number.POSITIVE_INFINITY }],
  ];
  for (const [path, over] of wrong) {
    test(`${path} of ${JSON.stringify(over).slice(0, 60)}`, () => {
      expect(pathOf(() => parseAgentRecord({ ...good, ...over }))).toBe(path);
    });
  }

  test("the record, the query, ids and leases themselves", () => {
    expect(pathOf(() => parseAgentRecord(null))).toBe("record");
    expect(pathOf(() => parseAgentRecord([]))).toBe("record");
    expect(pathOf(() => parseAgentQuery("sea"))).toBe("query");
    expect(pathOf(() => parseAgentQuery({ capabilty: "sea" }))).toBe("query.capabilty");
    expect(pathOf(() => parseAgentQuery({ name: "" }))).toBe("query.name");
    expect(pathOf(() => parseSchemaQuery({ version: 1 }))).toBe("query.version");
    expect(pathOf(() => parseAgentIds(["a", 1]))).toBe("agentIds[1]");
    expect(pathOf(() => parseLeaseMs(0))).toBe("leaseMs");
    expect(pathOf(() => parseLeaseMs("10s"))).toBe("leaseMs");
  });
});

test("a field that is absent, undefined or null asks for nothing", () => {
  expect(parseAgentQuery(undefined)).toEqual({});
  expect(parseAgentQuery({ name: undefined, tenant: null, kind: "tool" })).toEqual({ kind: "tool" });
});

test("whatever comes in, a record is read or refused, and a message is short", () => {
  const keys = Object.keys(good) as (keyof typeof good)[];
  fc.assert(
    fc.property(fc.constantFrom(...keys), fc.anything({ maxDepth: 3 }), (key, value) => {
      try {
        parseAgentRecord({ ...good, [key]: value });
      } catch (error) {
        expect(isSoormaError(error, "REGISTRY_REFUSED")).toBe(true);
        expect((error as Error).message.length).toBeLessThan(300);
      }
    }),
    { numRuns: 1_000 },
  );
}, 60_000);
