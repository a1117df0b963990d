import { type CommandGroup, json } from "../spec.ts";

export const schemas: CommandGroup = {
  name: "schemas",
  default: "ls",
  summary: "look at the schemas agents registered, and compare their versions: ls, show, diff",
  description:
    "Looks at the schemas that agents registered with their contracts. Versions are semver; under `soorma dev` each content of a " +
    "contract is a version of its own, with what is behind the + telling them apart.",
  examples: [
    ["soorma schemas ls", "every schema there is"],
    ["soorma schemas diff calculate.input", "what changed last, and whom that breaks"],
  ],
  commands: [
    {
      name: "ls",
      summary: "list schemas, with the version in use and who uses them",
      arguments: [{ name: "[prefix]", description: "what the names begin with (default: all)" }],
      options: [json],
      examples: [
        ["soorma schemas ls calculate", "those of one operation"],
        ["soorma schemas ls --json | jq '.[].name'", "for a program"],
      ],
      load: async () => (await import("./ls.ts")).runLs,
    },
    {
      name: "show",
      summary: "show a schema as the type of what it admits",
      arguments: [
        {
          name: "<schema>",
          description:
            "name, or name@version; a version may be a range, or the beginning of one (default: the one in use)",
        },
      ],
      options: [{ flags: "--schema", description: "print the JSON Schema itself" }, json],
      examples: [
        ["soorma schemas show calculate.input", "the version in use"],
        ["soorma schemas show calculate.input@1 --schema", "the highest 1.x.x as JSON Schema"],
      ],
      load: async () => (await import("./show.ts")).runShow,
    },
    {
      name: "diff",
      summary: "compare two versions of a schema and say what breaks",
      description:
        "Compares two versions of a schema, field by field, and says which changes break those who keep to the old version: " +
        "callers, of what an operation takes and gives; publishers and subscribers, of an event.",
      arguments: [
        { name: "<schema>", description: "name, or name@version" },
        { name: "[from]", description: "the old version (default: the one before)" },
        { name: "[to]", description: "the new version (default: the one in use)" },
      ],
      options: [
        { flags: "--check", description: "exit code 1 if something breaks and the major version is the same" },
        json,
      ],
      examples: [
        ["soorma schemas diff calculate.input 1.0.0 2.0.0", "two versions of one's choice"],
        ["soorma schemas diff calculate.input --check", "for CI"],
      ],
      load: async () => (await import("./diff.ts")).runDiff,
    },
  ],
};
