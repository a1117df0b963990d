import { join } from "node:path";
import { findProject, type Project, socketFolderOf } from "../dev/project.ts";
import type { Finding } from "../doctor/finding.ts";
import { checkMachine } from "../doctor/probe.ts";
import { checkProject } from "../doctor/project.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { CommandError, exitCodes } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { printable } from "../ui/text.ts";
import type { RunCommand } from "./spec.ts";

interface DoctorOptions {
  readonly env?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

export const runDoctor: RunCommand = async ({ options: given, io }) => {
  const options = given as DoctorOptions;
  const project = projectHere(io, options.dir);
  const { findings: ofProject, ...folders } = project
    ? await checkProject({ project, environment: options.env, env: io.env })
    : { findings: [], dataFolder: join(io.cwd, ".soorma"), socketFolder: socketFolderOf(io.cwd) };
  const findings = [...(await checkMachine(folders)), ...ofProject];
  const broken = findings.filter(({ status }) => status === "fail").length;
  if (options.json) io.out(JSON.stringify({ ok: broken === 0, project: project?.root ?? null, findings }));
  else show(findings, project, io);
  return broken === 0 ? exitCodes.done : exitCodes.failed;
};

/** A machine can be looked at anywhere. */
function projectHere(io: Io, dir: string | undefined): Project | undefined {
  try {
    return findProject(io.cwd, dir);
  } catch (error) {
    if (dir === undefined && error instanceof CommandError && error.code === "PROJECT_NOT_FOUND") return undefined;
    throw error;
  }
}

function show(findings: readonly Finding[], project: Project | undefined, io: Io): void {
  const colors = colorsForStdout(io);
  const marks = { ok: colors.green("✓"), warn: colors.yellow("!"), fail: colors.red("✗") };
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { name, status, found, fix } of findings) {
    const [first = "", ...rest] = printable(found).trimEnd().split("\n");
    io.out(`${marks[status]} ${name.padEnd(width)}  ${first}`);
    for (const line of rest) io.out(`${" ".repeat(width + 4)}${line}`);
    if (fix !== undefined) io.out(`${" ".repeat(width + 4)}${colors.cyan("→")} ${fix}`);
  }
  const count = (status: Finding["status"]): number => findings.filter((finding) => finding.status === status).length;
  const [broken, doubtful] = [count("fail"), count("warn")];
  const where = project ? `in ${project.root}` : "on this machine; no project was looked at";
  io.err(broken + doubtful === 0 ? `nothing is wrong ${where}` : `${broken} broken, ${doubtful} doubtful ${where}`);
}
