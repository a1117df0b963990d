import type { Store } from "../store/store.ts";
import { type Head, isFinished } from "./plan-records.ts";

/** A plan that somebody has to drive on. */
export interface OpenPlan {
  readonly planId: string;
  readonly createdAtMs: number;
  readonly driver: string;
}

interface Place {
  readonly plans: Map<string, OpenPlan>;
  readonly byDriver: Map<string, Map<string, OpenPlan>>;
  readonly plan: OpenPlan;
}

/**
 * Which plans have to be driven, by planner and by who drives them: an index of what is on disk, in memory.
 *
 * What is decided by it has to be checked against the plan's head, which may be newer.
 */
export class OpenPlans {
  /** By tenant and planner, then by driver, then by id; each in the order the driver got them: oldest first. */
  readonly #byPlanner = new Map<string, Map<string, Map<string, OpenPlan>>>();
  readonly #places = new Map<string, Place>();

  /** Reads the index of the store: as long as plans are open, not as there are plans. */
  load(store: Store): void {
    const range = store.range<readonly [planner: string, driver?: string]>({ prefix: ["plano"] });
    for (const { key, value } of range) {
      const [planner, driver] = value;
      const plan = { planId: String(key[3]), createdAtMs: Number(key[2]), driver };
      if (driver !== undefined) this.#place(String(key[1]), planner, plan);
    }
  }

  get size(): number {
    return this.#places.size;
  }

  /** Every tenant's drivers, by planner. */
  *drivers(): Generator<{ readonly tenant: string; readonly planner: string; readonly driver: string }> {
    for (const [key, byDriver] of this.#byPlanner) {
      const [tenant, planner] = JSON.parse(key) as [string, string];
      for (const driver of byDriver.keys()) yield { tenant, planner, driver };
    }
  }

  update(tenant: string, head: Head): void {
    const { planId, planner, driver, createdAtMs } = head.summary;
    this.#place(tenant, planner, { planId, createdAtMs, driver: isFinished(head) ? undefined : driver });
  }

  /** Without a driver it is taken out. */
  #place(
    tenant: string,
    planner: string,
    { planId, createdAtMs, driver }: Omit<OpenPlan, "driver"> & { readonly driver: string | undefined },
  ): void {
    const key = JSON.stringify([tenant, planId]);
    const plannerKey = JSON.stringify([tenant, planner]);
    const place = this.#places.get(key);
    if (place && place.plan.driver === driver) return;
    if (place) {
      place.plans.delete(planId);
      if (place.plans.size === 0) place.byDriver.delete(place.plan.driver);
      if (place.byDriver.size === 0) this.#byPlanner.delete(plannerKey);
      this.#places.delete(key);
    }
    if (driver === undefined) return;
    const plan: OpenPlan = { planId, createdAtMs, driver };
    const byDriver = getOr(this.#byPlanner, plannerKey);
    const plans = getOr(byDriver, driver);
    plans.set(planId, plan);
    this.#places.set(key, { plans, byDriver, plan });
  }

  /** How many plans of the planner are driven by those for whom `isAway` holds. */
  count(tenant: string, planner: string, isAway: (driver: string) => boolean): number {
    let count = 0;
    for (const [driver, plans] of this.#byPlanner.get(JSON.stringify([tenant, planner])) ?? []) {
      if (isAway(driver)) count += plans.size;
    }
    return count;
  }

  /** The plans a driver drives. */
  of(tenant: string, planner: string, driver: string): Iterable<OpenPlan> {
    return (
      this.#byPlanner
        .get(JSON.stringify([tenant, planner]))
        ?.get(driver)
        ?.values() ?? []
    );
  }

  /** Those plans, of all drivers together oldest first. The index must not change meanwhile. */
  *away(tenant: string, planner: string, isAway: (driver: string) => boolean): Generator<OpenPlan> {
    const queues = [...(this.#byPlanner.get(JSON.stringify([tenant, planner])) ?? [])]
      .filter(([driver]) => isAway(driver))
      .map(([, plans]) => {
        const rest = plans.values();
        return { rest, next: rest.next() };
      });
    for (;;) {
      let oldest: (typeof queues)[number] | undefined;
      for (const queue of queues) {
        if (queue.next.done) continue;
        if (!oldest || queue.next.value.createdAtMs < (oldest.next.value as OpenPlan).createdAtMs) oldest = queue;
      }
      if (!oldest || oldest.next.done) return;
      yield oldest.next.value;
      oldest.next = oldest.rest.next();
    }
  }
}

function getOr<K, L, V>(map: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let found = map.get(key);
  if (!found) {
    found = new Map();
    map.set(key, found);
  }
  return found;
}
