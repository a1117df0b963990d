import { isSoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { matchesWhere } from "../events/where.ts";
import type { Logger } from "../log.ts";
import type { PlanChange } from "../plans/log.ts";
import { atMost, type Runtime, type Timer } from "../runtime.ts";
import type { EventWait, TrackerStore } from "./tracker-store.ts";

/** Where events come from: the bus of the agent that keeps the state. */
export interface EventSource {
  /** Events of this tenant are heard. */
  readonly tenant: string;
  /** Whose name the signals bear. */
  readonly by: string;
  /** Resolves when what is published from now on arrives. */
  subscribe(pattern: string, topic: string | undefined, deliver: (event: Envelope) => void): Promise<AsyncDisposable>;
}

export interface EventWaitsOptions {
  readonly tracker: TrackerStore;
  readonly source: EventSource;
  readonly runtime: Runtime;
  readonly log: Logger;
}

/** Signals tasks that wait for an event. */
export interface EventWaits extends AsyncDisposable {
  /**
   * Has what these changes are going to wait for subscribed to, so that no event is missed that is published after they
   * are in the log. Waits for the subscription two seconds at most. To be disposed when they are in the log, or are not.
   */
  prepare(tenant: string, changes: readonly PlanChange[]): Promise<Disposable>;
  /** Subscriptions there are now. */
  readonly size: number;
}

const subscribeWaitMs = 2_000;
/** A subscription that nobody needs is kept this long: the next wait for the same is probably not far. */
const lingerMs = 5_000;
const retryMs = 1_000;

interface Subscribed {
  readonly id: string;
  readonly pattern: string;
  readonly topic: string | undefined;
  readonly waits: Map<string, EventWait>;
  /** Waits that are about to begin. */
  holds: number;
  ready: Promise<AsyncDisposable | undefined>;
  timer: Timer | undefined;
}

/**
 * Listens on the bus for what open waits want, also for those of before a restart, and records the first event that
 * matches as their signal.
 *
 * A worker that waits listens too: whoever is first is recorded, so an event is missed only while both are away.
 */
export function createEventWaits({ tracker, source, runtime, log }: EventWaitsOptions): EventWaits {
  const subscriptions = new Map<string, Subscribed>();
  const places = new Map<string, Subscribed>();
  const retries = new Set<Timer>();
  let closed = false;

  const soonAgain = (again: () => void): void => {
    if (closed) return;
    const timer = runtime.setTimer(
      () => {
        retries.delete(timer);
        again();
      },
      retryMs,
      { background: true },
    );
    retries.add(timer);
  };

  const signal = (wait: EventWait, event: Envelope): void => {
    const { tenant, planId, taskId, key } = wait;
    const change: PlanChange = { type: "task.signalled", taskId, key, value: event };
    tracker
      .record(tenant, planId, change, { by: source.by })
      // If it was refused it does not wait any more; unless it began anew meanwhile.
      .then(() => isOpen(wait) && close(wait))
      .catch((error: unknown) => {
        if (closed || isSoormaError(error, "PLAN_NOT_FOUND")) return;
        log.warn("signal.failed", { planId, taskId, key, error });
        // A disk that is full may have room again; the event would not come again.
        soonAgain(() => isOpen(wait) && signal(wait, event));
      });
  };

  const isOpen = (wait: EventWait): boolean => {
    const id = idOf(wait);
    return places.get(id)?.waits.get(id) === wait;
  };

  const subscriptionOf = (pattern: string, topic: string | undefined): Subscribed => {
    const id = JSON.stringify([pattern, topic ?? null]);
    const known = subscriptions.get(id);
    if (known) {
      known.timer?.cancel();
      known.timer = undefined;
      return known;
    }
    const made: Subscribed = {
      id,
      pattern,
      topic,
      waits: new Map(),
      holds: 0,
      ready: Promise.resolve(undefined),
      timer: undefined,
    };
    subscriptions.set(id, made);
    made.ready = source
      .subscribe(pattern, topic, (event) => {
        for (const wait of [...made.waits.values()]) if (matchesWhere(event, wait.where)) signal(wait, event);
      })
      .catch((error: unknown) => {
        // Its waits stay in the log; their workers may still hear the event.
        log.warn("wait.subscribe.failed", { pattern, topic, error });
        if (subscriptions.get(id) === made) retryLater(made);
        return undefined;
      });
    return made;
  };

  /** A pattern that can never be subscribed to is given up; anything else is tried again while somebody waits. */
  const retryLater = (failed: Subscribed): void => {
    soonAgain(() => {
      if (subscriptions.get(failed.id) !== failed) return;
      subscriptions.delete(failed.id);
      if (failed.waits.size === 0) return;
      const next = subscriptionOf(failed.pattern, failed.topic);
      for (const [id, wait] of failed.waits) {
        next.waits.set(id, wait);
        places.set(id, next);
      }
    });
  };

  const open = (wait: EventWait): void => {
    if (wait.tenant !== source.tenant || closed) return;
    const subscription = subscriptionOf(wait.pattern, wait.topic);
    subscription.waits.set(idOf(wait), wait);
    places.set(idOf(wait), subscription);
  };

  const close = (wait: Pick<EventWait, "tenant" | "planId" | "taskId" | "key">): void => {
    const id = idOf(wait);
    const subscription = places.get(id);
    if (!subscription) return;
    places.delete(id);
    subscription.waits.delete(id);
    endIfUnused(subscription);
  };

  const endIfUnused = (subscription: Subscribed): void => {
    if (closed || subscription.waits.size > 0 || subscription.holds > 0) return;
    subscription.timer?.cancel();
    subscription.timer = runtime.setTimer(
      () => {
        if (subscriptions.get(subscription.id) !== subscription) return;
        subscriptions.delete(subscription.id);
        void end(subscription);
      },
      lingerMs,
      { background: true },
    );
  };

  const end = async (subscription: Subscribed): Promise<void> => {
    subscription.timer?.cancel();
    try {
      await (await subscription.ready)?.[Symbol.asyncDispose]();
    } catch (error) {
      log.debug("wait.unsubscribe.failed", { pattern: subscription.pattern, error });
    }
  };

  const appends = tracker.onAppend(({ tenant, planId, opened, closed: over }) => {
    // In this order: a wait may have ended and begun anew.
    for (const wait of over) close({ tenant, planId, ...wait });
    for (const wait of opened) open(wait);
  });
  for (const wait of tracker.eventWaits()) open(wait);

  return {
    async prepare(tenant, changes) {
      const held: Subscribed[] = [];
      for (const change of changes) {
        if (change.type !== "task.waiting" || change.on.kind !== "event" || tenant !== source.tenant || closed)
          continue;
        const subscription = subscriptionOf(change.on.pattern, change.on.topic);
        subscription.holds++;
        held.push(subscription);
      }
      if (held.length > 0) await atMost(runtime, subscribeWaitMs, Promise.all(held.map(({ ready }) => ready)));
      return {
        [Symbol.dispose]() {
          for (const subscription of held.splice(0)) {
            subscription.holds--;
            endIfUnused(subscription);
          }
        },
      };
    },
    get size() {
      return subscriptions.size;
    },
    async [Symbol.asyncDispose]() {
      if (closed) return;
      closed = true;
      appends[Symbol.dispose]();
      const ended = [...subscriptions.values()];
      subscriptions.clear();
      places.clear();
      for (const timer of retries) timer.cancel();
      await Promise.all(ended.map(end));
    },
  };
}

function idOf({ tenant, planId, taskId, key }: Pick<EventWait, "tenant" | "planId" | "taskId" | "key">): string {
  return JSON.stringify([tenant, planId, taskId, key]);
}
