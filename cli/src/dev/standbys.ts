import type { ManagedProcess } from "./managed-process.ts";
import type { ProcessIdentity } from "./process-identity.ts";

export interface StandbysOptions {
  /** At most so many, of the agents that were started last. */
  readonly most: number;
  /** Milliseconds without a start before the next one is made: a start that somebody waits for goes first. */
  readonly quietMs: number;
  onChange(): void;
}

/**
 * Processes that have done what every start of an agent needs, and wait for its file to be saved. They are made one at a
 * time, when nothing else starts.
 */
export interface Standbys {
  readonly processes: readonly ProcessIdentity[];
  /** Has one made for an agent, if it has none; not before {@link Standbys.begin}. */
  want(agent: string, make: () => ManagedProcess): void;
  /** Hands the agent's process over; `undefined` when there is none. */
  take(agent: string): ManagedProcess | undefined;
  /** Ends the agent's process, and makes no other. */
  drop(agent: string): void;
  /** Makes all of them anew: what they have loaded may not be what is installed any more. */
  renew(): void;
  begin(): void;
  stop(): Promise<void>;
  kill(): void;
}

export function createStandbys({ most, quietMs, onChange }: StandbysOptions): Standbys {
  /** In the order they were asked for, the latest last. */
  const wanted = new Map<string, () => ManagedProcess>();
  const alive = new Map<string, ManagedProcess>();
  const ending = new Set<Promise<void>>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let begun = false;

  const schedule = (): void => {
    if (timer) clearTimeout(timer);
    timer = begun ? setTimeout(makeNext, quietMs) : undefined;
  };
  const makeNext = (): void => {
    const kept = [...wanted].slice(-most);
    const next = kept.reverse().find(([agent]) => !alive.has(agent));
    for (const agent of [...alive.keys()]) if (!kept.some(([name]) => name === agent)) end(agent);
    if (!next) return;
    const [agent, make] = next;
    const process = make();
    alive.set(agent, process);
    void process.exited.then(() => {
      if (alive.get(agent) !== process) return;
      // It cannot even wait. It is not tried again before the agent is started the next time.
      alive.delete(agent);
      wanted.delete(agent);
      onChange();
    });
    onChange();
    schedule();
  };
  const end = (agent: string, atOnce = false): void => {
    const process = alive.get(agent);
    if (!process) return;
    alive.delete(agent);
    // It does nothing yet that it would have to finish, but takes away what it opened in the mesh.
    if (atOnce) process.kill();
    else void process.stop();
    const ended = process.exited.then(() => void ending.delete(ended));
    ending.add(ended);
  };
  const close = (atOnce: boolean): void => {
    if (timer) clearTimeout(timer);
    begun = false;
    wanted.clear();
    for (const agent of [...alive.keys()]) end(agent, atOnce);
  };

  return {
    get processes() {
      return [...alive.values()].flatMap(({ identity }) => identity ?? []);
    },
    want(agent, make) {
      wanted.delete(agent);
      wanted.set(agent, make);
      schedule();
    },
    take(agent) {
      const process = alive.get(agent);
      alive.delete(agent);
      schedule();
      return process;
    },
    drop(agent) {
      wanted.delete(agent);
      end(agent);
    },
    renew() {
      for (const agent of [...alive.keys()]) end(agent);
      schedule();
    },
    begin() {
      begun = true;
      schedule();
    },
    async stop() {
      close(false);
      await Promise.all(ending);
    },
    kill: () => close(true),
  };
}
