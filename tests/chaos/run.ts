import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AnyData, Client, isSoormaError, type PlanEntry, silentLogger, systemRuntime } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { audit, type FaultRecord, type Violation } from "./audit.ts";
import { causeFaults, terminateWithinMs } from "./faults.ts";
import { type LedgerLine, openLedger, readLedgers } from "./ledger.ts";
import { type HostName, hostNames, type Network } from "./network.ts";
import { createSlot, leftProcesses, type RoleName, roleNames, type Slot } from "./processes.ts";
import { createRandom } from "./random.ts";
import { type Break, drainFile, ledgerFolder, meshOf, type Setting } from "./setting.ts";

export interface ChaosOptions {
  readonly seed: string;
  /** Milliseconds that processes are killed, stopped and restarted. */
  readonly durationMs: number;
  /** Milliseconds that everything has to calm down afterwards: every goal answered. Default 60_000. */
  readonly calmMs?: number;
  readonly broken?: Break;
  /** Two hosts; without, everybody is on this one. This process has to be in `home`. */
  readonly network?: Network;
  readonly inFlight?: number;
  /** Milliseconds a client rests between two goals, at most. Default 50. */
  readonly restMs?: number;
  /** Whose processes something is done to. Default: everybody's. */
  readonly roles?: readonly RoleName[];
  /** Where everything is written. Default: a temporary folder, removed unless something was violated. */
  readonly folder?: string;
  say(line: string): void;
}

export interface ChaosReport {
  readonly violations: readonly Violation[];
  readonly goals: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly faults: number;
  readonly attempts: number;
  readonly effects: number;
  readonly entries: number;
  /** Kept when there are violations. */
  readonly folder: string | undefined;
}

const counts: Readonly<Record<RoleName, number>> = { broker: 1, state: 1, planner: 3, worker: 4, tool: 2, client: 2 };

/** One run: a mesh of processes, goals, faults, and the audit of what the ledger has of it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, durationMs, calmMs = 60_000, network, broken, say } = options;
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "soorma-chaos-"));
  mkdirSync(join(folder, "s"), { recursive: true });
  const setting: Setting = {
    seed,
    folder,
    broker: network ? `tcp://${network.hosts.home.address}:7700` : `ipc://${join(folder, "broker")}`,
    inFlight: options.inFlight ?? 6,
    restMs: options.restMs ?? 50,
    ...(broken === undefined ? {} : { broken }),
    ...(network ? { hosts: { home: network.hosts.home.address, away: network.hosts.away.address } } : {}),
  };
  const settingPath = join(folder, "setting.json");
  writeFileSync(settingPath, JSON.stringify(setting));

  const violations: Violation[] = [];
  const violated = (rule: string, what: string): void => {
    violations.push({ rule, what });
    say(`          !  ${what}`);
  };
  const faults: FaultRecord[] = [];
  const onFault = (who: string, what: string): void => void faults.push({ t: Date.now(), who, what });
  const slots = createSlots(Boolean(network), {
    settingPath,
    folder,
    prefix: (host) => (network && host === "away" ? ["ip", "netns", "exec", network.hosts.away.namespace] : []),
    onCrash: (who, how) => violated("crash", `${who} ${how} by itself: ${lastLine(join(folder, "log", `${who}.log`))}`),
    onFault,
  });
  const byRole = (role: RoleName): Slot[] => slots.filter((slot) => slot.role === role);
  let ledger: LedgerLine[] = [];
  let logs = new Map<string, PlanEntry[]>();
  let faultCount = 0;
  try {
    for (const role of ["broker", "state"] as const) await Promise.all(byRole(role).map((slot) => slot.start()));
    const mesh = meshOf({ setting, host: "home" }, { log: silentLogger, runtime: systemRuntime });
    const client = await Client.connect({ name: "chaos-auditor", mesh });
    using heard = openLedger(ledgerFolder(setting), "auditor");
    await client.bus.subscribe("chaos.answered", ({ id, data }) => void heard.write(heardLine(id, data)), {
      group: "chaos-auditor",
    });
    const rest = slots.filter(({ role }) => role !== "broker" && role !== "state");
    await Promise.all(rest.map((slot) => slot.start()));
    say(`${slots.length} processes are ready`);

    faultCount = await causeFaults({
      random: createRandom(seed),
      slots: slots.filter(({ role }) => options.roles?.includes(role) ?? true),
      network,
      durationMs,
      say,
      violated: (what) => violated("drain", what),
      onFault,
    });
    say("no more faults; every goal has to be answered now");
    writeFileSync(drainFile(setting), "");
    await Promise.all(
      slots.filter((slot) => slot.pid === undefined && slot.role !== "client").map((slot) => slot.start()),
    );
    const calm = { timeoutMs: calmMs };
    const isDone = (): boolean => byRole("client").every(({ pid }) => pid === undefined);
    await waitFor(isDone, calm).catch(() => {
      violated("answer", `after ${calmMs} ms of calm, goals are still not answered`);
    });
    ledger = readLedgers(ledgerFolder(setting));
    logs = await readLogs(client, ledger, calmMs);
    const wanted = [...logs.values()].filter(([first]) => first?.type === "plan.created" && first.origin.responseEvent);
    const allHeard = (): boolean => {
      ledger = readLedgers(ledgerFolder(setting));
      return ledger.filter(({ kind }) => kind === "heard").length >= wanted.length;
    };
    // The response event follows the end of a plan; whatever is missing then is what the audit tells.
    if (violations.length === 0) await waitFor(allHeard, { timeoutMs: 15_000 }).catch(() => {});
    await client.stop();
    for (const role of roleNames.toReversed()) {
      await Promise.all(byRole(role).map((slot) => endSlot(slot, (what) => violated("drain", what))));
    }
  } finally {
    await Promise.all(slots.map((slot) => slot.kill()));
  }
  for (const left of leftProcesses(folder)) violated("processes", `left over: ${left}`);
  const found = audit({ ledger, logs, faults });
  for (const { planId, rule, what } of found.slice(0, 20)) say(`          !  [${rule}] ${planId}: ${what}`);
  violations.push(...found);
  for (const planId of new Set(found.flatMap(({ planId }) => planId ?? []))) {
    writeFileSync(join(folder, `${planId}.json`), JSON.stringify(logs.get(planId), undefined, 1));
  }
  if (violations.length === 0) rmSync(folder, { recursive: true, force: true });
  const kinds = (kind: LedgerLine["kind"]): number => ledger.filter((line) => line.kind === kind).length;
  return {
    violations,
    goals: kinds("accepted"),
    outcomes: outcomesOf(ledger),
    faults: faultCount,
    attempts: kinds("begun"),
    effects: kinds("effect"),
    entries: [...logs.values()].reduce((sum, { length }) => sum + length, 0),
    folder: violations.length === 0 ? undefined : folder,
  };
}

function createSlots(twoHosts: boolean, options: Parameters<typeof createSlot>[3]): Slot[] {
  return roleNames.flatMap((role) =>
    Array.from({ length: counts[role] }, (_, i) => {
      const host: HostName = twoHosts ? (hostNames[i % 2] ?? "home") : "home";
      return createSlot(role, `${role}-${i + 1}`, host, options);
    }),
  );
}

async function endSlot(slot: Slot, violated: (what: string) => void): Promise<void> {
  if (slot.pid === undefined) return;
  const code = await slot.terminate(terminateWithinMs);
  if (code !== 0) violated(`${slot.who} ended with ${code ?? "nothing but SIGKILL"} after SIGTERM at the end`);
}

/** The logs of all plans that the ledger or the tracker knows. */
async function readLogs(
  client: Client,
  ledger: readonly LedgerLine[],
  withinMs: number,
): Promise<Map<string, PlanEntry[]>> {
  const accepted = new Set(ledger.flatMap((line) => (line.kind === "accepted" ? [line.planId] : [])));
  const planIds = new Set(ledger.map(({ planId }) => planId));
  for (const status of ["pending", "running", "paused"] as const) {
    for (const { planId } of await client.tracker.listPlans({ status, limit: 1_000 })) planIds.add(planId);
  }
  const logs = new Map<string, PlanEntry[]>();
  const untilMs = Date.now() + withinMs;
  for (const planId of planIds) {
    let entries = await readLog(client, planId);
    // What no client knows of, since nobody was told that it was accepted, nobody answers or hears the questions of.
    if (entries && !entries.some(({ type }) => isEnd(type)) && !accepted.has(planId)) {
      await client.tracker.cancelPlan(planId, "no client knows of it");
      entries = await readLog(client, planId);
    }
    while (entries && !entries.some(({ type }) => isEnd(type)) && Date.now() < untilMs) {
      await Bun.sleep(100);
      entries = await readLog(client, planId);
    }
    if (entries) logs.set(planId, entries);
  }
  return logs;
}

async function readLog(client: Client, planId: string): Promise<PlanEntry[] | undefined> {
  try {
    return await client.tracker.read(planId);
  } catch (error) {
    if (isSoormaError(error, "PLAN_NOT_FOUND")) return undefined;
    throw error;
  }
}

function isEnd(type: PlanEntry["type"]): boolean {
  return type === "plan.completed" || type === "plan.failed" || type === "plan.cancelled";
}

function heardLine(eventId: string, data: AnyData) {
  const { planId, status, result, failure } = data;
  const outcome =
    status === "completed"
      ? { status, result }
      : { status, code: failure?.code ?? "CANCELLED", message: failure?.message ?? "" };
  return { kind: "heard" as const, planId, eventId, outcome };
}

function outcomesOf(ledger: readonly LedgerLine[]): Record<string, number> {
  const outcomes: Record<string, number> = {};
  for (const line of ledger) {
    if (line.kind === "answered") outcomes[line.outcome.status] = (outcomes[line.outcome.status] ?? 0) + 1;
  }
  return outcomes;
}

function lastLine(path: string): string {
  return readFileSync(path, "utf8").trim().split("\n").slice(-12).join("\n");
}
