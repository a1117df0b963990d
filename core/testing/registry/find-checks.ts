import { expect } from "bun:test";
import type { AgentQuery, AgentRecord } from "../../src/registry/records.ts";
import { codeOf } from "../code-of.ts";
import { calculator, everybody, type KnownCheck, planner, researcher, twin } from "./shared.ts";

/** The part of the registry contract that is about looking for agents. */
export function findChecks(checkKnown: KnownCheck): void {
  checkKnown("a record is found with every field as it was registered", everybody, async (registry) => {
    for (const record of everybody) expect(await registry.find({ agentId: record.agentId })).toEqual([record]);
  });

  checkKnown("everybody is listed by name, then by id", everybody, async (registry) => {
    const found = await registry.find({});
    expect(found.map(({ agentId }) => agentId)).toEqual([
      "calculator-1",
      "planner-1",
      "a-researcher-2",
      "researcher-1",
    ]);
  });

  const found: readonly (readonly [AgentQuery, readonly AgentRecord[]])[] = [
    [{ agentId: "researcher-1" }, [researcher]],
    [{ name: "researcher" }, [twin, researcher]],
    [{ kind: "planner" }, [planner]],
    [{ capability: "web_research" }, [researcher]],
    [{ capability: "sea" }, [calculator]],
    [{ operation: "paper_search" }, [researcher]],
    [{ operation: "research.goal" }, [planner]],
    [{ operation: "calculate" }, [calculator]],
    [{ consumes: "paper.published" }, [researcher]],
    [{ consumes: "order.*" }, [researcher]],
    [{ produces: "paper.found" }, [researcher]],
    [{ tenant: "acme" }, [calculator]],
    [{ name: "researcher", capability: "web_research_pro" }, [twin]],
    [{ kind: "worker", tenant: "default", name: "researcher", agentId: "researcher-1" }, [researcher]],
  ];
  for (const [query, expected] of found) {
    checkKnown(`${JSON.stringify(query)} finds exactly the agents it names`, everybody, async (registry) => {
      expect((await registry.find(query)).map(({ agentId }) => agentId)).toEqual(expected.map((one) => one.agentId));
    });
  }

  const nobody: readonly AgentQuery[] = [
    { agentId: "researcher" },
    { name: "research" },
    { name: "researcher-1" },
    { kind: "service" },
    { capability: "research" },
    { capability: "web_research_" },
    { capability: "WEB_RESEARCH" },
    { operation: "calc" },
    { consumes: "order.created" },
    { consumes: "paper" },
    { produces: "paper.*" },
    { tenant: "acm" },
    { capability: "sea", tenant: "default" },
  ];
  for (const query of nobody) {
    checkKnown(`${JSON.stringify(query)} finds nobody, since nothing matches in part`, everybody, async (registry) => {
      expect(await registry.find(query)).toEqual([]);
    });
  }

  checkKnown("a query with a field that does not exist is refused", everybody, async (registry) => {
    expect(await codeOf(registry.find({ capabilty: "sea" } as AgentQuery))).toBe("REGISTRY_REFUSED");
  });
}
