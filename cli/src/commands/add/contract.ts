import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../config.ts";
import { findProject } from "../../dev/project.ts";
import { type Wired, wireContract, wiringLines } from "../../scaffold/add/agent-module.ts";
import { checkNew, checkUsesSoorma, finishChanges } from "../../scaffold/add/changes.ts";
import { type ContractKind, contractFiles } from "../../scaffold/add/contract-files.ts";
import {
  importPath,
  type ProjectAgent,
  type ProjectAgents,
  readProjectAgents,
  type UnreadAgent,
} from "../../scaffold/add/project-agents.ts";
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

    const placed = { ...wiring, from: importPath(root, agent.file, wiring.from) };
    const wired: Wired =
      "variable" in agent
        ? wireContract(readFileSync(join(root, agent.file), "utf8"), agent.variable, placed)
        : {
            ok: false,
            reason: "no `new Worker(…)` or the like stands at its top level",
            lines: wiringLines(kindFor[kind] ?? "agent", placed, new Set()),
          };
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

/** The agent that was named, or else the only one there is; one that cannot be read if there is no other. */
async function chooseAgent(
  kind: ContractKind,
  { agents, unread }: ProjectAgents,
  wanted: string | undefined,
  io: Io | undefined,
): Promise<ProjectAgent | UnreadAgent> {
  const wantedKind = kindFor[kind];
  const fitting = agents.filter((agent) => wantedKind === undefined || agent.kind === wantedKind);
  const list = [...fitting, ...unread].map(({ called }) => called).join(", ");
  const addFirst = `\`soorma add agent <name> --type ${wantedKind ?? "worker"}\` first`;
  if (wanted !== undefined) {
    const named = agents.filter((agent) => agent.called === wanted || agent.name === wanted);
    const [found, second] = named.filter((agent) => fitting.includes(agent));
    const other = unread.find(({ called }) => called === wanted);
    if (found && !second) return found;
    if (other && !found) return other;
    const choose = list === "" ? addFirst : `choose one of ${list}`;
    if (found) throw new UsageError(`several agents are called ${wanted}`, choose);
    if (!named[0]) throw new UsageError(`the project has no agent ${wanted}`, choose);
    throw new UsageError(`${wanted} is a ${named[0].kind}, and a ${kind} is for a ${wantedKind}`, choose);
  }
  const [only, second] = fitting.length > 0 ? fitting : unread;
  if (!only) {
    throw new CommandError("NO_AGENT", `the project has no ${wantedKind ?? "agent"} that a ${kind} could go to`, {
      hint: addFirst,
    });
  }
  if (!second) return only;
  if (!io) {
    const names = list.replaceAll(", ", "|");
    throw new UsageError(`which agent gets the ${kind} is missing`, `add --agent ${names}`);
  }
  const ask = createAsker(io, `Add a ${kind}`, "Cancelled: nothing was changed.");
  const choices = [...fitting, ...unread];
  const chosen = await ask.select(
    "Which agent gets it?",
    choices.map(({ called, file }) => ({ value: called, hint: file })),
  );
  return choices.find(({ called }) => called === chosen) ?? only;
}
