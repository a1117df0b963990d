import type { Mesh, PlanLog } from "@soorma/core";
import { withoutVersions } from "../without-versions.ts";
import type { Break } from "./setting.ts";

type Services = Awaited<ReturnType<Mesh["acquire"]>>;

/**
 * The mesh as a planner gets it, with a guarantee of the plan log taken away.
 *
 * - `version`: whatever version or epoch the log is at, the planner appends.
 * - `lease`: no plan of a planner that is gone is ever handed out.
 */
export function brokenPlannerMesh(mesh: Mesh, broken: Break | undefined): Mesh {
  if (broken !== "version" && broken !== "lease") return mesh;
  return withServices(mesh, (services) => {
    const { tracker } = services;
    const logOf = (by: string): PlanLog => {
      const log = tracker.logOf(by);
      return broken === "version" ? withoutVersions(log) : withoutLeases(log);
    };
    return { ...services, tracker: Object.assign(Object.create(tracker), { logOf }) as typeof tracker };
  });
}

/** The mesh as a worker gets it; with `ack` it does not wait for its results to be acknowledged. */
export function brokenWorkerMesh(mesh: Mesh, broken: Break | undefined): Mesh {
  if (broken !== "ack") return mesh;
  return withServices(mesh, (services) => {
    const { node } = services;
    const callAgent = node.callAgent.bind(node);
    node.callAgent = async (agent, method, params, options) => {
      if (method !== "task.result") return await callAgent(agent, method, params, options);
      callAgent(agent, method, params, { ...options, timeoutMs: 100 }).catch(() => {});
      return undefined as never;
    };
    return services;
  });
}

function withServices(mesh: Mesh, change: (services: Services) => Services): Mesh {
  return {
    acquire: async () => change(await mesh.acquire()),
    release: () => mesh.release(),
  };
}

function withoutLeases(log: PlanLog): PlanLog {
  return {
    ...log,
    lease: async (...args) => ({ ...(await log.lease(...args)), claimable: 0 }),
    claim: async () => ({ plans: [], more: false }),
  };
}
