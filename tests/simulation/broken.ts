import type { Mesh, PlanLog } from "@soorma/core";
import { withoutVersions } from "../without-versions.ts";
import type { Break } from "./surroundings.ts";

type Services = Awaited<ReturnType<Mesh["acquire"]>>;

/** The mesh as a planner gets it, without what the plan log guarantees. */
export function brokenPlannerMesh(mesh: Mesh, broken: Break | undefined): Mesh {
  if (broken === "version") return withLog(mesh, withoutVersions);
  if (broken === "lease") return withLog(mesh, withoutLeases);
  if (broken === "wait") return withLog(mesh, withoutWaiting);
  return mesh;
}

/** The mesh as a worker gets it, without what makes its steps last. */
export function brokenWorkerMesh(mesh: Mesh, broken: Break | undefined): Mesh {
  return broken === "steps" ? withLog(mesh, withoutJournal) : mesh;
}

function withServices(mesh: Mesh, change: (services: Services) => Services): Mesh {
  return {
    acquire: async () => change(await mesh.acquire()),
    release: () => mesh.release(),
  };
}

function withLog(mesh: Mesh, change: (log: PlanLog) => PlanLog): Mesh {
  return withServices(mesh, (services) => {
    const { tracker } = services;
    const logOf = (by: string): PlanLog => change(tracker.logOf(by));
    return { ...services, tracker: Object.assign(Object.create(tracker), { logOf }) as typeof tracker };
  });
}

function withoutWaiting(log: PlanLog): PlanLog {
  return {
    ...log,
    async append(planId, expectedVersion, changes, options) {
      log.append(planId, expectedVersion, changes, options).catch(() => {});
      return expectedVersion + changes.length;
    },
  };
}

function withoutLeases(log: PlanLog): PlanLog {
  return {
    ...log,
    lease: async (...args) => ({ ...(await log.lease(...args)), claimable: 0 }),
    claim: async () => ({ plans: [], more: false }),
  };
}

function withoutJournal(log: PlanLog): PlanLog {
  return { ...log, journal: async () => ({ steps: [], waits: [] }) };
}
