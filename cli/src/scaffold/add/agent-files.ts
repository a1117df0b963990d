import { UsageError } from "../../ui/errors.ts";
import type { ProjectFile } from "../template.ts";
import { type AgentKind, wireContract } from "./agent-module.ts";
import { type ContractFiles, contractFiles, goalFiles } from "./contract-files.ts";

export interface NewAgent {
  readonly type: AgentKind;
  readonly name: string;
  readonly description: string;
  /** Default: its name. A worker gets a task, a tool an operation for each. */
  readonly capabilities: readonly string[] | undefined;
  /** What a planner gives its first task to, if the project has a worker. */
  readonly worker: string | undefined;
}

/**
 * A new agent in `src/agents`, with a contract for what it does.
 *
 * @throws {UsageError} when two capabilities would be in one file.
 */
export function newAgent(agent: NewAgent): ProjectFile[] {
  const { type, name, description } = agent;
  const capabilities = agent.capabilities ?? [name.replaceAll("-", "_")];
  const className = { worker: "Worker", planner: "Planner", tool: "Tool" }[type];
  let text = `import { ${className} } from "soorma";

const ${type} = new ${className}({
  name: ${JSON.stringify(name)},
  description: ${JSON.stringify(description)},
  capabilities: [${capabilities.map((capability) => JSON.stringify(capability)).join(", ")}],
});

await ${type}.run();
`;
  const files: ProjectFile[] = [];
  for (const contract of contractsOf(agent, capabilities)) {
    const from = contract.wiring.from.replace(/^src\//, "../");
    const wired = wireContract(text, type, { ...contract.wiring, from });
    if (!wired.ok) throw new Error(`the new agent cannot be given its handler: ${wired.reason}`);
    text = wired.text;
    const twice = contract.files.find(({ path }) => files.some((file) => file.path === path));
    if (twice) throw new UsageError(`two capabilities would be in ${twice.path}`, "leave one out of --capabilities");
    files.push(...contract.files);
  }
  return [{ path: `src/agents/${name}.ts`, text }, ...files];
}

function contractsOf({ type, name, worker }: NewAgent, capabilities: readonly string[]): ContractFiles[] {
  if (type === "planner") return [goalFiles(name, worker ?? "worker")];
  return capabilities.map((capability) => contractFiles(type === "worker" ? "task" : "tool", capability));
}
