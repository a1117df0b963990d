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
  const columns = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  const longest = Math.max(...findings.map(({ name }) => name.length));
  // Where there is no room beside the names, what was found stands below them.
  const beside = columns >= longest + 40;
  const indent = beside ? longest + 4 : 4;
  const wrapped = (text: string, room: number): string[] => {
    // Several lines are source code with a mark under it, which stays as it is.
    const whole = text.includes("\n") || !Number.isFinite(columns);
    return (whole ? text : Bun.wrapAnsi(text, Math.max(16, columns - room), { hard: true })).split("\n");
  };
  for (const { name, status, found, fix } of findings) {
    const lines = wrapped(printable(found).trimEnd(), indent);
    const first = beside ? `${name.padEnd(longest)}  ${lines.shift() ?? ""}` : name;
    io.out(`${marks[status]} ${first}`);
    for (const line of lines) io.out(`${" ".repeat(indent)}${line}`.trimEnd());
    if (fix === undefined) continue;
    const [arrow = "", ...rest] = wrapped(fix, indent + 2);
    io.out(`${" ".repeat(indent)}${colors.cyan("→")} ${arrow}`);
    for (const line of rest) io.out(`${" ".repeat(indent + 2)}${line}`);
  }
  const count = (status: Finding["status"]): number => findings.filter((finding) => finding.status === status).length;
  const [broken, doubtful] = [count("fail"), count("warn")];
  const where = project ? `in ${project.root}` : "on this machine; no project was looked at";
  io.err(broken + doubtful === 0 ? `nothing is wrong ${where}` : `${broken} broken, ${doubtful} doubtful ${where}`);
}
