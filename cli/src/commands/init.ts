import { relative, resolve } from "node:path";
import { checkName, nameFault, nameIdea, parseCapabilities, parseDescription } from "../scaffold/name.ts";
import { findTarballs, useTarballs } from "../scaffold/packages.ts";
import { checkPlace, openSite } from "../scaffold/place.ts";
import { defaults, type ProjectChoice, type ProjectFile, projectFiles } from "../scaffold/template.ts";
import { type Colors, colorsFor } from "../ui/colors.ts";
import { Interrupted, UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import type { RunCommand } from "./spec.ts";
import { type AgentType, agentTypes } from "./table.ts";

interface InitOptions {
  readonly type?: AgentType;
  readonly description?: string;
  readonly capabilities?: string;
  readonly dir?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly install: boolean;
  readonly git: boolean;
  readonly packages?: string;
  readonly json?: boolean;
}

interface Plan extends ProjectChoice {
  readonly target: string;
  readonly install: boolean;
  readonly git: boolean;
}

type Outcome = "done" | "skipped" | "failed";

export const runInit: RunCommand = async ({ args, options: given, io }) => {
  const options = given as unknown as InitOptions;
  const plan = await choose(args[0], options, io);
  const files = withPackages(projectFiles(plan), options, io);
  if (options.dryRun) {
    if (options.json) io.out(JSON.stringify({ path: plan.target, files: files.map((file) => file.path) }));
    else for (const file of files) io.out(file.path);
    return undefined;
  }

  using site = openSite(plan.target);
  site.write(files);
  const installed = plan.install ? await install(site.folder, io) : "skipped";
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

/** What to create: flags first, then the person at the terminal, then defaults. */
async function choose(named: string | undefined, options: InitOptions, io: Io): Promise<Plan> {
  const asks = io.interactive && !options.yes && !options.json;
  if (named !== undefined) checkName(named);
  const capabilities = options.capabilities === undefined ? undefined : parseCapabilities(options.capabilities);
  const description = options.description === undefined ? undefined : parseDescription(options.description);
  const targetOf = (name: string): string => resolve(io.cwd, options.dir ?? name);
  const folderName =
    options.dir === undefined ? undefined : nameIdea(resolve(io.cwd, options.dir).split("/").at(-1) ?? "");
  if (named !== undefined || options.dir !== undefined) checkPlace(targetOf(named ?? ""));

  if (!asks) {
    if (!options.type && !options.yes) {
      throw new UsageError("what to create is missing", `add --type ${agentTypes.join("|")}`);
    }
    const type = options.type ?? "worker";
    const name = named ?? folderName ?? (options.yes ? `my-${type}` : undefined);
    if (name === undefined) {
      throw new UsageError("the project's name is missing", `for example \`soorma init my-${type} --type ${type}\``);
    }
    checkPlace(targetOf(name));
    return complete({ type, name, description, capabilities, target: targetOf(name) }, options);
  }

  const { createAsker } = await import("../ui/ask.ts");
  const ask = createAsker(io, "Create a Soorma project");
  const type =
    options.type ??
    (await ask.select<AgentType>("What do you want to create?", [
      { value: "worker", hint: "does tasks" },
      { value: "planner", hint: "breaks goals into tasks" },
      { value: "tool", hint: "answers requests" },
      { value: "team", hint: "a planner, two workers and a tool that answer questions together" },
    ]));
  const name =
    named ??
    (await ask.text({
      message: "Name?",
      fallback: folderName ?? `my-${type}`,
      validate: (text) => nameFault(text) ?? faultIn(() => checkPlace(targetOf(text))),
    }));
  const choice = {
    type,
    name,
    target: targetOf(name),
    description:
      description ??
      parseDescription(
        await ask.text({
          message: type === "team" ? "What does the team do?" : "What does it do?",
          fallback: defaults[type].description,
          validate: (text) => faultIn(() => parseDescription(text)),
        }),
      ),
    capabilities:
      type === "team"
        ? capabilities
        : (capabilities ??
          parseCapabilities(
            await ask.text({
              message: "What can it be asked for? (separated by commas)",
              fallback: defaults[type].capabilities.join(", "),
              validate: (text) => faultIn(() => parseCapabilities(text)),
            }),
          )),
  };
  const install = options.install && !options.dryRun && (await ask.confirm("Install the dependencies now?"));
  const git = options.git && !options.dryRun && (await ask.confirm("Make it a git repository?"));
  return complete(choice, { ...options, install, git });
}

type Choice = Pick<Plan, "type" | "name" | "target"> & {
  readonly description: string | undefined;
  readonly capabilities: readonly string[] | undefined;
};

function complete(choice: Choice, options: Pick<InitOptions, "install" | "git">): Plan {
  if (choice.type === "team" && choice.capabilities !== undefined) {
    throw new UsageError("a team takes no --capabilities", "each of its agents has its own; change them in src/agents");
  }
  return {
    ...choice,
    description: choice.description ?? defaults[choice.type].description,
    capabilities: choice.capabilities ?? defaults[choice.type].capabilities,
    install: options.install,
    git: options.git,
  };
}

function faultIn(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return "hint" in error && typeof error.hint === "string" ? `${error.message}: ${error.hint}` : error.message;
  }
}

function withPackages(files: readonly ProjectFile[], options: InitOptions, io: Io): readonly ProjectFile[] {
  const folder = options.packages ?? io.env.SOORMA_PACKAGES;
  if (!folder) return files;
  const tarballs = findTarballs(resolve(io.cwd, folder));
  return files.map((file) =>
    file.path === "package.json" ? { ...file, text: useTarballs(file.text, tarballs) } : file,
  );
}

/** Never fails the command: a project without its dependencies is still a project. */
async function install(folder: string, io: Io): Promise<Outcome> {
  const colors = colorsFor(io);
  io.err(colors.dim("installing the dependencies …"));
  const output = await run([process.execPath, "install"], folder, io);
  if (output.exitCode === 0) return "done";
  if (!io.signal.aborted) {
    io.err(`${colors.yellow("warning")}: \`bun install\` ended with exit code ${output.exitCode}:`);
    for (const line of output.text.trim().split("\n").slice(-8)) io.err(`  ${line}`);
    io.err("The project is complete but for its dependencies: run `bun install` in it.");
  }
  return "failed";
}

async function initGit(folder: string, io: Io): Promise<Outcome> {
  if (Bun.which("git") === null) {
    io.err("git is not installed: the project is no git repository yet");
    return "skipped";
  }
  // Inside somebody's repository a second one would only be in the way.
  const inside = await run(["git", "rev-parse", "--is-inside-work-tree"], folder, io);
  if (inside.exitCode === 0) return "skipped";
  const made = await run(["git", "init", "--quiet"], folder, io);
  if (made.exitCode === 0) return "done";
  io.err(`${colorsFor(io).yellow("warning")}: \`git init\` failed: ${made.text.trim()}`);
  return "failed";
}

async function run(command: string[], cwd: string, io: Io): Promise<{ exitCode: number; text: string }> {
  if (io.signal.aborted) return { exitCode: 1, text: "" };
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe", signal: io.signal });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode: child.exitCode ?? 1, text: `${out}${err}` };
}

function tellNextSteps(plan: Plan, installed: Outcome, io: Io): void {
  const colors: Colors = colorsFor({ env: io.env, liveStderr: process.stdout.isTTY === true });
  const folder = relative(io.cwd, plan.target) || ".";
  io.out(`${colors.green("✓")} ${plan.type} ${colors.bold(plan.name)} created in ${folder}`);
  io.out("");
  io.out("Next:");
  if (folder !== ".") io.out(`  cd ${folder}`);
  if (installed !== "done") io.out("  bun install");
  io.out("  bun run dev     # in one terminal");
  io.out(`  ${tryIt(plan)}`);
}

function tryIt({ type, name }: Plan): string {
  const samples: Readonly<Record<AgentType, string>> = {
    worker: `bunx soorma goal ${name}.goal '{"text":"to be or not to be"}'`,
    planner: `bunx soorma goal ${name}.goal '{"topic":"bees"}'`,
    team: `bunx soorma goal ${name}.goal '{"question":"How do bees find flowers?"}'`,
    tool: `bun run ask "2 * (3 + 4)"`,
  };
  return `${samples[type]}   # in another`;
}
