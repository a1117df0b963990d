import { type CommandGroup, type CommandSpec, json, type OptionSpec } from "./spec.ts";

export const environment: OptionSpec = {
  flags: "--env <environment>",
  description: "with this environment of soorma.config.ts (default: $SOORMA_ENV)",
};
const port: OptionSpec = {
  flags: "--port <port>",
  description: "as for `soorma dev`: the broker on this TCP port of 127.0.0.1",
  parse: parsePort,
};
const dir: OptionSpec = {
  flags: "--dir <folder>",
  description: "the project's folder (default: the nearest one upwards)",
};

/** Commands about a project and the machine it is on, which need no mesh. */
export const projectCommands: readonly (CommandSpec | CommandGroup)[] = [
  {
    name: "config",
    summary: "print the settings in force, and where each comes from",
    description:
      "Prints what `soorma dev` would run with: every setting, agent and option of a plugin, and whether it is a default, or " +
      "from soorma.config.ts, an environment of it, a variable or a flag. Values whose names say that they are secret are hidden.",
    arguments: [{ name: "[path]", description: "only this one and what is below it: mesh, dev.drainMs" }],
    options: [environment, port, dir, json],
    examples: [
      ["soorma config", "everything"],
      ["soorma config mesh.leaseMs --env production --json", "one value, for a program"],
    ],
    load: async () => (await import("./config.ts")).runConfig,
  },
  {
    name: "doctor",
    summary: "check machine and project, and say what to do about what is wrong",
    description:
      "Checks Bun, the native files (libzmq and LMDB, by using them), addresses, ports, limits, clock and disk, and of the " +
      "project its dependencies, configuration, plugins, agents and what a mesh that was killed left. Changes nothing. Exit " +
      "code 1 when something is broken.",
    options: [environment, dir, json],
    examples: [
      ["soorma doctor", "everything, with what to do"],
      ["soorma doctor --json | jq .findings", "for a program"],
    ],
    load: async () => (await import("./doctor.ts")).runDoctor,
  },
  {
    name: "completions",
    summary: "print a script that completes soorma's commands in your shell",
    description:
      "Prints a script for the shell: commands, options and their values, agents and plans of the mesh that runs here, " +
      'environments and settings of the project. In ~/.bashrc: eval "$(soorma completions bash)"; in ~/.zshrc, after ' +
      "compinit, likewise.",
    arguments: [{ name: "<shell>", description: "bash, zsh or fish" }],
    examples: [
      ["soorma completions zsh > _soorma", "belongs in a folder of $fpath"],
      ["soorma completions fish > soorma.fish", "belongs in ~/.config/fish/completions"],
    ],
    load: async () => (await import("./completions.ts")).runCompletions,
  },
  {
    name: "plugin",
    default: "list",
    summary: "look at plugins",
    examples: [
      ["soorma plugin list", "what is installed for this project"],
      ["soorma plugin list --json", "for a program"],
    ],
    commands: [
      {
        name: "list",
        summary: "list the plugins that this project can use, and where they are",
        description:
          "Lists the plugins that are installed for this project and those that come with soorma, and marks those in use. " +
          "Reads their package.json; runs none of their code.",
        options: [environment, dir, json],
        examples: [
          ["soorma plugin list", "kind, name, package and place"],
          ["soorma plugin list --json", "for a program"],
        ],
        load: async () => (await import("./plugin/list.ts")).runPluginList,
      },
    ],
  },
];

export function parsePort(text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > 65_535) throw new TypeError(`${text} is no port: 1 to 65535`);
  return number;
}
