import { type CommandSpec, json, parseSeconds } from "../spec.ts";

export const recordings: readonly CommandSpec[] = [
  {
    name: "record",
    summary: "record everything agents send each other, with what caused it",
    description:
      "Records events, requests, goals, tasks and their answers of the running mesh, as lines of JSON, until Ctrl-C. The file " +
      "holds all that was sent, secrets too, except what --redact names. It never slows the mesh down: what it cannot keep " +
      "up with is counted in the file.",
    arguments: [{ name: "<file>", description: "where to write it; - for stdout" }],
    options: [
      { flags: "--for <seconds>", description: "end by itself after this long", parse: parseSeconds },
      {
        flags: "--redact <paths>",
        description: "take these out, separated by commas: password, data.card.number, data.*.token",
        parse: parsePaths,
      },
      { flags: "--force", description: "replace the file if it exists" },
      json,
    ],
    examples: [
      ["soorma record monday.jsonl", "until Ctrl-C"],
      ["soorma record - --for 60 --redact password,token | jq -c 'select(.kind == \"event\")'", "a minute of events"],
    ],
    load: async () => (await import("./record.ts")).runRecord,
  },
];

function parsePaths(text: string): string[] {
  const paths = text.split(",").map((path) => path.trim());
  for (const path of paths)
    if (path.split(".").includes("")) throw new TypeError(`"${path}" is no path: data.card.number`);
  return paths;
}
