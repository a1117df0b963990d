import { parseDuration } from "../../ui/time.ts";
import { type CommandGroup, json, type OptionSpec, parseCount } from "../spec.ts";

const tenant: OptionSpec = { flags: "--tenant <name>", description: "memory of this tenant (default: the mesh's own)" };
const ifVersion: OptionSpec = {
  flags: "--if-version <n>",
  description: "only if the entry has this version; 0: only if there is none",
  parse: parseVersion,
};

export const memory: CommandGroup = {
  name: "memory",
  default: "ls",
  summary: "read and write what agents remember: get, set, ls, search, rm",
  description: "Reads and writes the memory that the agents of the mesh share.",
  examples: [
    ["soorma memory ls user:", "every entry whose key begins with user:"],
    [`soorma memory set user:7 '{"name":"Ada"}' --ttl 1h`, "gone after an hour"],
  ],
  commands: [
    {
      name: "get",
      summary: "print an entry's value",
      description: "Prints the value of an entry; with --json also its version and times.",
      arguments: [{ name: "<key>", description: "the entry's key" }],
      options: [tenant, json],
      examples: [
        ["soorma memory get user:7", "its value"],
        ["soorma memory get user:7 --json | jq .version", "for a program"],
      ],
      load: async () => (await import("./get.ts")).runGet,
    },
    {
      name: "set",
      summary: "write an entry",
      arguments: [
        { name: "<key>", description: "the entry's key" },
        { name: "<json>", description: "its value; `-` reads it from stdin, `@file` from a file" },
      ],
      options: [
        { flags: "--ttl <time>", description: "gone after this long: 90s, 15m, 2h, 7d", parse: parseDuration },
        ifVersion,
        { flags: "--text", description: "take the value as text, even if it is JSON" },
        tenant,
        json,
      ],
      examples: [
        [`soorma memory set user:8 '{"name":"Ada"}' --if-version 0`, "only if there is none"],
        ["soorma memory set notes:install @docs/install.md --text", "a file as text"],
      ],
      load: async () => (await import("./set.ts")).runSet,
    },
    {
      name: "ls",
      summary: "list entries in the order of their keys",
      arguments: [{ name: "[prefix]", description: "what the keys begin with (default: all)" }],
      options: [
        { flags: "-n, --limit <n>", description: "at most this many (default: 100)", parse: parseCount },
        { flags: "--after <key>", description: "only keys behind this one" },
        tenant,
        json,
      ],
      examples: [
        ["soorma memory ls user:", "every entry whose key begins with user:"],
        ["soorma memory ls --json | jq '.[].key'", "for a program"],
      ],
      load: async () => (await import("./ls.ts")).runLs,
    },
    {
      name: "search",
      summary: "find entries by the words in them, best first",
      arguments: [{ name: "<words>", description: "what to look for, in keys and in all text of the values" }],
      options: [
        { flags: "--prefix <text>", description: "only keys that begin with this" },
        { flags: "-n, --limit <n>", description: "at most this many (default: 10)", parse: parseHits },
        { flags: "--min-score <n>", description: "only what scores at least this", parse: parseScore },
        tenant,
        json,
      ],
      examples: [
        [`soorma memory search "flowers bees"`, "what has one of the words"],
        ["soorma memory search bees --prefix notes: --json", "for a program"],
      ],
      load: async () => (await import("./search.ts")).runSearch,
    },
    {
      name: "rm",
      summary: "remove an entry, or all whose keys begin the same",
      arguments: [{ name: "<key>", description: "the entry's key" }],
      options: [
        { flags: "--prefix", description: "remove every entry whose key begins with this" },
        ifVersion,
        { flags: "-y, --yes", description: "with --prefix: do not ask" },
        tenant,
        json,
      ],
      examples: [
        ["soorma memory rm user:9", "one entry"],
        ["soorma memory rm results: --prefix --yes", "all that begin with results:"],
      ],
      load: async () => (await import("./rm.ts")).runRm,
    },
  ],
};

function parseVersion(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new TypeError(`${text} is no version: a whole number from 0`);
  return Number(text);
}

function parseHits(text: string): number {
  const count = parseCount(text);
  if (count > 1_000) throw new TypeError(`${text} is too many: 1000 at most`);
  return count;
}

function parseScore(text: string): number {
  const score = Number(text);
  if (text.trim() === "" || !Number.isFinite(score)) throw new TypeError(`${text} is no number`);
  return score;
}
