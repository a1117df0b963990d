import type { Status } from "@soorma/core";
import { parseTime } from "../../ui/time.ts";
import { type CommandGroup, json, type OptionSpec, parseCount, parseSeconds } from "../spec.ts";

/** Core's list, written again: its code is not loaded for a help text. */
const statuses = [
  "pending",
  "running",
  "paused",
  "completed",
  "failed",
  "cancelled",
] as const satisfies readonly Status[];

const id = { name: "[plan]", description: "the plan's id, or the beginning of it (default: the newest plan)" };
const requiredId = { name: "<plan>", description: "the plan's id, or the beginning of it" };
const reason: OptionSpec = { flags: "--reason <text>", description: "why; stands in the plan's log" };
const wait: OptionSpec = { flags: "--wait", description: "wait for the result and print it" };
const timeout: OptionSpec = {
  flags: "--timeout <seconds>",
  description: "with --wait: give up after this long (default: 300)",
  parse: parseSeconds,
};

/** `soorma plans …` */
export const plans: CommandGroup = {
  name: "plans",
  default: "list",
  summary: "look at plans and steer them: list, show, watch, cancel, pause, answer, replay, dead letters",
  description:
    "Looks at the plans of the mesh that runs here, and steers them. Orders are written into a plan's log, so they hold " +
    "also while no planner is there to hear them.",
  examples: [
    ["soorma plans list --status running", "what is under way"],
    ["soorma plans show", "the newest plan as a graph of its tasks"],
  ],
  commands: [
    {
      name: "list",
      summary: "list plans, newest first",
      options: [
        { flags: "-s, --status <status>", description: "only plans in this state", choices: statuses },
        { flags: "--goal <type>", description: "only plans of goals of this type" },
        { flags: "--planner <name>", description: "only plans of this planner" },
        { flags: "--parent <plan>", description: "only sub-plans of this plan" },
        {
          flags: "--since <time>",
          description: "created in this long (90s, 15m, 2h, 7d) or since this date",
          parse: parseTime,
        },
        { flags: "--until <time>", description: "created before that", parse: parseTime },
        { flags: "-n, --limit <n>", description: "at most this many (default: 20)", parse: parseCount },
        json,
      ],
      examples: [
        ["soorma plans list --status failed --since 2h", "what went wrong lately"],
        ["soorma plans list --goal research.goal --json", "for a program"],
      ],
      load: async () => (await import("./list.ts")).runList,
    },
    {
      name: "show",
      summary: "draw a plan: its tasks, what they depend on, their states and durations",
      arguments: [id],
      options: [{ flags: "--log", description: "also print every entry of the plan's log" }, json],
      examples: [
        ["soorma plans show", "the newest plan"],
        ["soorma plans show plan-k3f --log", "with everything that happened to it"],
      ],
      load: async () => (await import("./show.ts")).runShow,
    },
    {
      name: "watch",
      summary: "follow a plan until it ends",
      arguments: [id],
      options: [json],
      examples: [
        ["soorma plans watch", "the newest plan, drawn anew with every change"],
        ["soorma plans watch plan-k3f --json", "every entry of its log as a line of JSON"],
      ],
      load: async () => (await import("./watch.ts")).runWatch,
    },
    {
      name: "cancel",
      summary: "cancel a plan: running handlers are aborted, open tasks end",
      arguments: [requiredId],
      options: [reason, json],
      examples: [
        ["soorma plans cancel plan-k3f", "sub-plans are cancelled with it"],
        [`soorma plans cancel plan-k3f --reason "wrong customer"`, "says why in the log"],
      ],
      load: async () => (await import("./orders.ts")).runCancel,
    },
    {
      name: "pause",
      summary: "pause a plan: what runs finishes, nothing new begins",
      arguments: [requiredId],
      options: [reason, json],
      examples: [
        ["soorma plans pause plan-k3f", "until `soorma plans resume`"],
        [`soorma plans pause plan-k3f --reason "checking the numbers"`, "says why in the log"],
      ],
      load: async () => (await import("./orders.ts")).runPause,
    },
    {
      name: "resume",
      summary: "let a paused plan go on",
      arguments: [requiredId],
      options: [json],
      examples: [
        ["soorma plans resume plan-k3f", "goes on where it was"],
        ["soorma plans resume plan-k3f --json", "for a program"],
      ],
      load: async () => (await import("./orders.ts")).runResume,
    },
    {
      name: "answer",
      summary: "answer a task that waits for a person",
      description:
        "Answers a task that waits for a person. On a terminal it shows the question and asks; elsewhere the answer is needed.",
      arguments: [
        requiredId,
        { name: "[answer]", description: "JSON, or else text as it is; asked for when it is left out" },
      ],
      options: [
        { flags: "--task <name>", description: "which task, when several wait" },
        { flags: "--key <key>", description: "which of a task's questions, when it has several" },
        { flags: "--text", description: "take the answer as text, even if it is JSON" },
        json,
      ],
      examples: [
        ["soorma plans answer plan-k3f", "asks the task's question"],
        [`soorma plans answer plan-k3f '{"approved":true}' --task review`, "for a program"],
      ],
      load: async () => (await import("./answer.ts")).runAnswer,
    },
    {
      name: "replay",
      summary: "run a finished plan again, as a new plan",
      description:
        "Runs a finished plan again, as a new plan. Results of tasks that do not come after the given one are taken over.",
      arguments: [requiredId],
      options: [
        {
          flags: "--from <task>",
          description:
            "begin with this task; an item or a sub-task stands for all of the task it is part of (default: with the first)",
        },
        wait,
        timeout,
        json,
      ],
      examples: [
        ["soorma plans replay plan-k3f", "all of it again"],
        ["soorma plans replay plan-k3f --from summarize --wait", "earlier results stay; prints the answer"],
      ],
      load: async () => (await import("./replay.ts")).runReplay,
    },
    {
      name: "dead",
      summary: "list dead letters: tasks that failed for good and that nobody looked at",
      options: [
        { flags: "--goal <type>", description: "only tasks of plans of this goal" },
        { flags: "--since <time>", description: "failed in this long (90s, 15m, 2h, 7d)", parse: parseTime },
        { flags: "-n, --limit <n>", description: "at most this many (default: 20)", parse: parseCount },
        json,
      ],
      examples: [
        ["soorma plans dead", "with the error of each"],
        ["soorma plans dead --since 24h --json", "for a program"],
      ],
      load: async () => (await import("./dead.ts")).runDead,
    },
    {
      name: "retry",
      summary: "send a dead letter again",
      description:
        "Sends a dead letter again: within its plan if that is still open, else as a new plan that begins with this task " +
        "and takes over the results of the others.",
      arguments: [requiredId, { name: "[task]", description: "name of the task (default: the only dead one)" }],
      options: [wait, timeout, json],
      examples: [
        ["soorma plans retry plan-k3f pay", "after the cause is gone"],
        ["soorma plans retry plan-k3f --wait", "prints the answer"],
      ],
      load: async () => (await import("./dead.ts")).runRetry,
    },
    {
      name: "discard",
      summary: "take a dead letter off the list",
      arguments: [requiredId, { name: "[task]", description: "name of the task (default: all dead ones of the plan)" }],
      options: [reason, json],
      examples: [
        ["soorma plans discard plan-k3f", "nothing of it will be sent again"],
        [`soorma plans discard plan-k3f pay --reason "paid by hand"`, "says why in the log"],
      ],
      load: async () => (await import("./dead.ts")).runDiscard,
    },
    {
      name: "agents",
      summary: "show how agents do with their tasks: count, failures, median and 95th percentile",
      options: [json],
      examples: [
        ["soorma plans agents", "every agent that finished a task"],
        ["soorma plans agents --json", "for a program"],
      ],
      load: async () => (await import("./agents.ts")).runAgents,
    },
  ],
};
