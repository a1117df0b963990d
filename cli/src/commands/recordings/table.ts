import { type CommandSpec, json, parseSeconds } from "../spec.ts";

export const recordings: readonly CommandSpec[] = [
  {
    name: "record",
    summary: "record everything agents send each other, with what caused it",
    description:
      "Records events, requests, goals, tasks, their answers and orders to plans of the running mesh, as lines of JSON, until Ctrl-C " +
      "or the end of the mesh. The file holds all that was sent, secrets too, except what --redact names. It never slows the mesh down: what it cannot keep " +
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
  {
    name: "replay",
    summary: "send what clients sent in a recording again, and compare the answers",
    description:
      "Sends the goals, requests, events and orders to plans of clients in a recording again, in the order that one waited for the other, and " +
      "compares how they end. Ends with 1 when something ended differently.",
    arguments: [{ name: "<file>", description: "a recording of `soorma record`" }],
    options: [
      {
        flags: "--speed <factor>",
        description: "so many times faster than recorded; max to wait for nothing but answers (default: 1)",
        parse: parseSpeed,
      },
      { flags: "--only <pattern>", description: "only goals, requests and events of this type: order.*" },
      {
        flags: "--ignore <paths>",
        description: "what may differ in results, separated by commas: id, result.takenAt, result.*.score",
        parse: parsePaths,
      },
      { flags: "--timeout <seconds>", description: "wait so long for each answer (default: 60)", parse: parseSeconds },
      { flags: "--dry-run", description: "list what would be sent, send nothing" },
      json,
    ],
    examples: [
      ["soorma replay monday.jsonl --speed 10", "every answer beside the recorded one"],
      ["soorma replay monday.jsonl --only 'order.*' --ignore id --json | jq .different", "for a program"],
    ],
    load: async () => (await import("./replay.ts")).runReplay,
  },
];

function parseSpeed(text: string): number {
  const speed = text === "max" ? Number.POSITIVE_INFINITY : Number(text);
  if (!(speed > 0)) throw new TypeError(`${text} is no speed: a number above 0, or max`);
  return speed;
}

function parsePaths(text: string): string[] {
  const paths = text.split(",").map((path) => path.trim());
  for (const path of paths)
    if (path.split(".").includes("")) throw new TypeError(`"${path}" is no path: data.card.number`);
  return paths;
}
