import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../config.ts";
import { findProject } from "../../dev/project.ts";
import { wireContract } from "../../scaffold/add/agent-module.ts";
import { checkNew, checkUsesSoorma, finishChanges } from "../../scaffold/add/changes.ts";
import { type ContractKind, contractFiles } from "../../scaffold/add/contract-files.ts";
import { importPath, type ProjectAgent, readProjectAgents } from "../../scaffold/add/project-agents.ts";
import { contractNameFault } from "../../scaffold/name.ts";
import { createAsker } from "../../ui/ask.ts";
import { CommandError, UsageError } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import type { RunCommand } from "../spec.ts";

interface AddContractOptions {
  readonly agent?: string;
  readonly dir?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Which kind of agent a contract is for; any when there is none. */
const kindFor = { task: "worker", tool: "tool", event: undefined } as const;

export function addContract(kind: ContractKind): RunCommand {
  return async ({ args, options: given, io }) => {
    const options = given as unknown as AddContractOptions;
    const name = args[0] ?? "";
    const fault = contractNameFault(name);
    if (fault !== undefined) throw new UsageError(`"${name}" is no name of a ${kind}`, fault);
    const { root } = findProject(io.cwd, options.dir);
    checkUsesSoorma(root);
    const { agents, unread } = readProjectAgents(root, (await loadConfig(root)).settings);
    const { files, wiring } = contractFiles(kind, name);
    checkNew(root, files);
    const asks = io.interactive && !options.json;
    const agent = await chooseAgent(kind, { agents, unread }, options.agent, asks ? io : undefined);

    const source = readFileSync(join(root, agent.file), "utf8");
    const wired = wireContract(source, agent.variable, {
      ...wiring,
      from: importPath(root, agent.file, wiring.from),
    });
    finishChanges(
      root,
      { created: files, changed: wired.ok ? [{ path: agent.file, text: wired.text }] : [] },
      {
        io,
        json: options.json === true,
        dryRun: options.dryRun === true,
        ...(wired.ok ? {} : { left: { file: agent.file, reason: wired.reason, lines: wired.lines } }),
      },
    );
    return undefined;
  };
}

async function chooseAgent(
  kind: ContractKind,
  { agents, unread }: { readonly agents: readonly ProjectAgent[]; readonly unread: readonly string[] },
  wanted: string | undefined,
  io: Io | undefined,
): Promise<ProjectAgent> {
  const wantedKind = kindFor[kind];
  const fitting = agents.filter((agent) => wantedKind === undefined || agent.kind === wantedKind);
  const list = (some: readonly ProjectAgent[]): string => some.map(({ called }) => called).join(", ");
  if (wanted !== undefined) {
    const named = agents.filter((agent) => agent.called === wanted || agent.name === wanted);
    const [found, second] = named.filter((agent) => fitting.includes(agent));
    if (found && !second) return found;
    if (named[0] && !found) {
      throw new UsageError(
        `${wanted} is a ${named[0].kind}, and a ${kind} is for a ${wantedKind}`,
        fitting.length > 0
          ? `choose one of ${list(fitting)}`
          : `\`soorma add agent <name> --type ${wantedKind}\` first`,
      );
    }
    throw new UsageError(
      found ? `several agents are called ${wanted}` : `the project has no agent ${wanted} that can be read`,
      fitting.length > 0 ? `choose one of ${list(fitting)}` : unreadHint(unread, wantedKind),
    );
  }
  const [only, second] = fitting;
  if (!only) {
    throw new CommandError("NO_AGENT", `the project has no ${wantedKind ?? "agent"} that a ${kind} could go to`, {
      hint: unreadHint(unread, wantedKind),
    });
  }
  if (!second) return only;
  if (!io)
    throw new UsageError(
      `which agent gets the ${kind} is missing`,
      `add --agent ${list(fitting).replaceAll(", ", "|")}`,
    );
  const ask = createAsker(io, `Add a ${kind}`, "Cancelled: nothing was changed.");
  const chosen = await ask.select(
    "Which agent gets it?",
    fitting.map(({ called, file }) => ({ value: called, hint: file })),
  );
  return fitting.find(({ called }) => called === chosen) ?? only;
}

function unreadHint(unread: readonly string[], kind: string | undefined): string {
  const add = `add one with \`soorma add agent <name> --type ${kind ?? "worker"}\``;
  return unread.length === 0
    ? add
    : `${add}; no \`new Worker(…)\` or the like stands at the top of ${unread.join(", ")}`;
}
