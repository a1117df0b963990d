import { formatRate } from "../ui/amounts.ts";
import type { Colors } from "../ui/colors.ts";
import { clip, count } from "../ui/text.ts";

/** What `soorma dev` shows below the log. */
export interface DevStatus {
  readonly phase: "starting" | "running" | "stopping";
  /** By agent, how many of its instances there are and how many are ready. */
  readonly agents: readonly { readonly name: string; readonly instances: number; readonly ready: number }[];
  readonly tasks: number;
  readonly eventsPerSecond: number;
  /** What of the log is shown; empty when everything is. */
  readonly filter: string;
}

/** One line, in which what matters least goes first where there is no room. */
export function drawStatus(status: DevStatus, width: number, colors: Colors): string {
  const { phase, agents, tasks, eventsPerSecond, filter } = status;
  const instances = agents.reduce((sum, agent) => sum + agent.instances, 0);
  const ready = agents.reduce((sum, agent) => sum + agent.ready, 0);
  const isWhole = ready === instances;
  const mark = phase !== "running" ? colors.yellow("●") : isWhole ? colors.green("●") : colors.red("●");
  const parts = [
    phase === "running" ? undefined : phase,
    count(agents.length, "agent"),
    isWhole ? count(instances, "instance") : colors.red(`${ready} of ${count(instances, "instance")}`),
    `${count(tasks, "task")} running`,
    `${formatRate(eventsPerSecond)} events/s`,
    filter === "" ? undefined : colors.yellow(`only ${filter}`),
    colors.dim("? help"),
  ].filter((part) => part !== undefined);
  for (let shown = [...parts]; ; shown = shown.filter((_, at) => at !== shown.length - 2)) {
    const line = `${mark} ${shown.join(colors.dim(" · "))}`;
    if (Bun.stringWidth(line) <= width || shown.length <= 2) return clip(line, width);
  }
}

/** The keys, in as many lines as the width asks for. */
export function drawHelp(width: number, colors: Colors): string[] {
  const keys = [
    ["r", "restart"],
    ["l", "filter logs"],
    ["p", "plans"],
    ["g", "send the last goal again"],
    ["?", "help"],
    ["q", "quit"],
  ] as const;
  const lines: string[] = [];
  for (const [key, what] of keys) {
    const part = `${colors.bold(key)} ${what}`;
    const last = lines.at(-1);
    if (last !== undefined && Bun.stringWidth(`${last}   ${part}`) <= width)
      lines[lines.length - 1] = `${last}   ${part}`;
    else lines.push(part);
  }
  return lines;
}
