import type { Claim, Lease, PlanLog } from "../plans/log.ts";
import { createStateCalls } from "../state-calls.ts";
import type { TrackerClientOptions } from "./client.ts";
import type { DriverNote, Heard } from "./driver-notes.ts";
import { trackerMethods, trackerNotes } from "./protocol.ts";

/** How long a renewal waits for its answer before it is sent again: it must not use up the lease. */
const renewalAttemptMs = 1_000;

export interface DriverClientOptions extends TrackerClientOptions {
  readonly identity: { readonly tenant: string; readonly user?: string };
}

/** What a driver of plans needs of the state node beside the logs. */
export interface DriverClient extends Disposable {
  readonly methods: Pick<PlanLog, "lease" | "release" | "claim" | "onForeignChange">;
}

interface Driver {
  readonly planner: string;
  readonly leaseMs: number | undefined;
  heard: Heard | undefined;
  /** A renewal that is under way. */
  renewal: Promise<Lease> | undefined;
  /** Id of the claim under way, or of the last one if its answer never came. */
  claimId: string | undefined;
  /** Settles when that claim is over. */
  claiming: Promise<unknown>;
}

type Listener = (planId: string, version: number) => void;

/**
 * Leases, claims and notes of the drivers on this node.
 *
 * A lease is renewed at once when the state node is another one or there again; between that and its renewals it is the
 * driver's to keep.
 */
export function createDriverClient(options: DriverClientOptions): DriverClient {
  const { caller, identity, nextId } = options;
  const call = createStateCalls(options);
  const callSoon = createStateCalls({ ...options, attemptMs: renewalAttemptMs });
  const drivers = new Map<string, Driver>();
  const listeners = new Map<string, Set<Listener>>();

  const renew = (driver: string, state: Driver): Promise<Lease> => {
    if (state.renewal) return state.renewal;
    const send = async (): Promise<Lease> => {
      const { planner, leaseMs, heard } = state;
      const params = {
        ...identity,
        planner,
        driver,
        ...(leaseMs === undefined ? {} : { leaseMs }),
        ...(heard === undefined ? {} : { heard }),
      };
      const { session, ...lease } = await callSoon<Lease & { readonly session: string }>(
        trackerMethods.lease,
        params,
        `renew the lease of ${driver}`,
      );
      if (state.heard?.session !== session) state.heard = { session, upTo: 0 };
      return lease;
    };
    const renewal = send().finally(() => {
      if (state.renewal === renewal) state.renewal = undefined;
    });
    state.renewal = renewal;
    return renewal;
  };

  const notes = caller.onNote(trackerNotes.changed, (params) => {
    if (!isDriverNote(params)) return;
    const { driver, session, after, upTo, plans } = params;
    const state = drivers.get(driver);
    if (state) {
      const known = state.heard?.session === session ? state.heard.upTo : 0;
      // One that was lost before it is sent again, because it is not said to be heard.
      if (after <= known) state.heard = { session, upTo: Math.max(known, upTo) };
    }
    for (const [planId, version] of plans) {
      for (const listener of [...(listeners.get(driver) ?? [])]) listener(planId, version);
    }
  });

  const reconnects = caller.onReconnect(() => {
    for (const [driver, state] of drivers) {
      // One that is under way may be pausing for longer than the new state node waits for drivers to show up.
      state.renewal = undefined;
      renew(driver, state).catch(() => {});
    }
  });

  return {
    methods: {
      lease(planner, driver, leaseMs) {
        const known = drivers.get(driver);
        const state: Driver =
          known?.planner === planner && known.leaseMs === leaseMs
            ? known
            : {
                planner,
                leaseMs,
                heard: known?.heard,
                renewal: undefined,
                claimId: known?.claimId,
                claiming: known?.claiming ?? Promise.resolve(),
              };
        drivers.set(driver, state);
        return renew(driver, state);
      },

      async release(driver) {
        drivers.delete(driver);
        await call(trackerMethods.release, { ...identity, driver }, `release the lease of ${driver}`);
      },

      claim(planner, driver, limit) {
        const state = drivers.get(driver);
        const claim = async (): Promise<Claim> => {
          // What a claim gave whose answer was lost is asked for again, however late.
          const operationId = state?.claimId ?? nextId();
          if (state) state.claimId = operationId;
          const params = { ...identity, planner, driver, limit, operationId };
          const answer = await call<Claim>(trackerMethods.claim, params, `claim plans of ${planner}`);
          if (state) state.claimId = undefined;
          return answer;
        };
        if (!state) return claim();
        const next = state.claiming.then(claim, claim);
        state.claiming = next;
        return next;
      },

      onForeignChange(driver, listener) {
        const others = listeners.get(driver) ?? new Set<Listener>();
        listeners.set(driver, others.add(listener));
        return {
          [Symbol.dispose]() {
            others.delete(listener);
            if (others.size === 0 && listeners.get(driver) === others) listeners.delete(driver);
          },
        };
      },
    },
    [Symbol.dispose]() {
      notes[Symbol.dispose]();
      reconnects[Symbol.dispose]();
      drivers.clear();
    },
  };
}

function isDriverNote(params: unknown): params is DriverNote {
  if (typeof params !== "object" || params === null) return false;
  const { driver, session, after, upTo, plans } = params as Record<string, unknown>;
  return (
    typeof driver === "string" &&
    typeof session === "string" &&
    typeof after === "number" &&
    typeof upTo === "number" &&
    Array.isArray(plans) &&
    plans.every((plan) => Array.isArray(plan) && typeof plan[0] === "string" && typeof plan[1] === "number")
  );
}
