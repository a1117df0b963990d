import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { writeFileAtomically } from "../dev/atomic-file.ts";
import type { LiveContract } from "../types/contracts.ts";
import { whyUnwritten } from "../ui/disk-fault.ts";
import { CommandError, UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { oneLine, printable } from "../ui/text.ts";
import { connect } from "./connect.ts";
import type { RunCommand } from "./spec.ts";

interface TypesOptions {
  readonly out?: string;
  readonly check?: boolean;
  readonly json?: boolean;
}

export const runTypes: RunCommand = async ({ options, io }) => {
  const { out, check = false, json = false } = options as TypesOptions;
  if (check && out === undefined) throw new UsageError("--check needs to know which file", "name it with --out <file>");
  // Loaded here: a wrong command line is told without waiting for the mesh's code.
  const [{ liveContracts }, { writeModule }] = await Promise.all([
    import("../types/contracts.ts"),
    import("../types/contract-module.ts"),
  ]);
  await using client = await connect(io);
  const [agents, schemas] = await Promise.all([client.registry.query({}), client.registry.querySchemas()]);
  const contracts = liveContracts(
    agents.map(({ record }) => record),
    schemas,
  );
  if (contracts.length === 0) io.err("no agent of this mesh takes anything or publishes anything");
  const text = writeModule(contracts);
  if (out === undefined) {
    io.out(json ? JSON.stringify(contracts) : text.trimEnd());
    return undefined;
  }
  return check ? compare(out, { text, json, io }) : write(out, { text, contracts, json, io });
};

interface Written {
  readonly text: string;
  readonly json: boolean;
  readonly io: Io;
}

function write(
  out: string,
  { text, contracts, json, io }: Written & { contracts: readonly LiveContract[] },
): undefined {
  const path = resolve(io.cwd, out);
  const changed = readText(path) !== text;
  if (changed) {
    try {
      // Source code like any other.
      writeFileAtomically(path, text, 0o666);
    } catch (cause) {
      throw new CommandError("FILE_UNWRITABLE", `the types cannot be written to ${out}: ${whyUnwritten(cause)}`, {
        cause,
        hint: "give --out a file in a folder that can be written",
      });
    }
  }
  if (json) io.out(JSON.stringify({ file: out, changed, contracts: contracts.length }));
  else io.err(`${printable(out)}: ${contracts.length} contracts${changed ? "" : ", as it was"}`);
  return undefined;
}

function compare(out: string, { text, json, io }: Written): number {
  const before = readText(resolve(io.cwd, out));
  const differences = before === undefined ? [] : differencesOf(before, text);
  const same = before === text;
  if (json)
    io.out(JSON.stringify({ file: out, same, ...(before === undefined ? { missing: true } : {}), differences }));
  else if (same) io.err(`${printable(out)} is what the mesh has`);
  else {
    io.err(before === undefined ? `there is no ${printable(out)}` : `${printable(out)} is not what the mesh has:`);
    for (const { name, change } of differences) io.err(`  ${oneLine(name)} ${change}`);
    io.err(`hint: soorma types --out ${printable(out)}`);
  }
  return same ? 0 : 1;
}

function readText(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

interface ContractDifference {
  readonly name: string;
  readonly change: "is new" | "is gone" | "has changed";
}

/** By what is exported: nobody wants to read two generated files beside each other. */
function differencesOf(before: string, after: string): ContractDifference[] {
  const [old, current] = [exportsOf(before), exportsOf(after)];
  const found: ContractDifference[] = [];
  for (const name of new Set([...old.keys(), ...current.keys()])) {
    if (!old.has(name)) found.push({ name, change: "is new" });
    else if (!current.has(name)) found.push({ name, change: "is gone" });
    else if (old.get(name) !== current.get(name)) found.push({ name, change: "has changed" });
  }
  return found;
}

/** Each declaration with its comment is a paragraph. */
function exportsOf(text: string): Map<string, string> {
  const paragraphs = text.trimEnd().split("\n\n");
  return new Map(
    paragraphs.flatMap((paragraph) => {
      const name = /^export (?:const|type|interface) ([\w$]+)/m.exec(paragraph)?.[1];
      return name === undefined ? [] : [[name, paragraph]];
    }),
  );
}
