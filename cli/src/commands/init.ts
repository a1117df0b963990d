import { relative, resolve } from "node:path";
import { findTarballs, useTarballs } from "../scaffold/packages.ts";
import { openSite } from "../scaffold/place.ts";
import { projectTypeFacts } from "../scaffold/project-types.ts";
import { chooseProject, type InitOptions, type InitPlan } from "../scaffold/questions.ts";
import { initGit, installDependencies, type Outcome } from "../scaffold/setup.ts";
import { type ProjectFile, projectFiles } from "../scaffold/template.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import type { RunCommand } from "./spec.ts";

export const runInit: RunCommand = async ({ args, options: given, io }) => {
  const options = given as unknown as InitOptions;
  const plan = await chooseProject(args[0], options, io);
  const files = withPackages(projectFiles(plan), options, io);
  if (options.dryRun) {
    if (options.json) io.out(JSON.stringify({ path: plan.target, files: files.map((file) => file.path) }));
    else for (const file of files) io.out(file.path);
    return undefined;
  }

  using site = openSite(plan.target);
  site.write(files);
  const installed = plan.install ? await installDependencies(site.folder, io) : "skipped";
  const git = plan.git ? await initGit(site.folder, io) : "skipped";
  if (io.signal.aborted) throw new Interrupted("interrupted: nothing was created");
  site.finish();

  if (options.json) {
    const { name, type, target: path } = plan;
    io.out(JSON.stringify({ name, type, path, files: files.map((file) => file.path), installed, git }));
  } else {
    tellNextSteps(plan, installed, io);
  }
  return undefined;
};

function withPackages(files: readonly ProjectFile[], options: InitOptions, io: Io): readonly ProjectFile[] {
  const folder = options.packages ?? io.env.SOORMA_PACKAGES;
  if (!folder) return files;
  const tarballs = findTarballs(resolve(io.cwd, folder));
  return files.map((file) =>
    file.path === "package.json" ? { ...file, text: useTarballs(file.text, tarballs) } : file,
  );
}

function tellNextSteps(plan: InitPlan, installed: Outcome, io: Io): void {
  const colors = colorsForStdout(io);
  const folder = relative(io.cwd, plan.target) || ".";
  io.out(`${colors.green("✓")} ${plan.type} ${colors.bold(plan.name)} created in ${folder}`);
  io.out("");
  io.out("Next:");
  if (folder !== ".") io.out(`  cd ${folder}`);
  if (installed !== "done") io.out("  bun install");
  io.out("  bun run dev");
  io.out("");
  // On lines of their own: they are long, and there to be copied.
  io.out(`In another terminal${folder === "." ? "" : `, in ${folder}`}:`);
  io.out(`  ${projectTypeFacts[plan.type].tryIt(plan)}`);
}
