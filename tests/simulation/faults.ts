import type { Chance } from "./chance.ts";
import type { Member, World } from "./world.ts";

const hourMs = 3_600_000;

/** Something that goes wrong, and ends by itself. */
type Fault = (world: World, chance: Chance) => void;

/** Unless there are to be no more faults by then. */
const later = (world: World, ms: number, what: () => void): void =>
  void world.runtime.setTimer(() => {
    if (!world.isHealed) what();
  }, ms);

/** Any of them, and those that the others depend on more often. */
function anyMember(world: World, chance: Chance): Member {
  const all = [...world.members.values()];
  return chance.is(0.4) ? chance.one(all.filter(({ name }) => /^(state|planner)/.test(name))) : chance.one(all);
}

const faults: Readonly<Record<string, Fault>> = {
  /** At the effect it comes before, which is anywhere between two things the process does. */
  crash(world, chance) {
    const member = anyMember(world, chance);
    const { process } = member;
    if (!process?.alive) return;
    const inEffects = chance.is(0.3) ? 1 : chance.whole(1, 60);
    const backMs = chance.is(0.5) ? chance.between(0, 500) : chance.between(500, 12_000);
    world.trace.say("fault", `${member.name} will crash in ${inEffects} effects, back after ${Math.round(backMs)} ms`);
    process.crashIn(inEffects);
    // If it did too little to come that far.
    later(world, 2_000, () => {
      if (process.alive) process.crash();
      world.crash(member, backMs);
    });
  },
  freeze(world, chance) {
    const member = anyMember(world, chance);
    const { process } = member;
    if (!process?.alive || process.frozen) return;
    const ms = chance.is(0.5) ? chance.between(50, 900) : chance.between(900, 15_000);
    world.trace.say("fault", `${member.name} is frozen for ${Math.round(ms)} ms`);
    process.freeze();
    const fault = {};
    world.cut(fault, [["*", member.name]]);
    later(world, ms, () => {
      world.trace.say("fault", `${member.name} goes on`);
      world.heal(fault);
      process.thaw();
    });
  },
  cut(world, chance) {
    const names = [...world.members.keys()];
    const some = chance.some(names);
    const others = names.filter((name) => !some.includes(name));
    const oneWay = chance.is(0.5);
    const ms = chance.is(0.5) ? chance.between(50, 1_200) : chance.between(1_200, 15_000);
    world.trace.say("fault", `${some} cut off ${oneWay ? "one way " : ""}for ${Math.round(ms)} ms`);
    const fault = {};
    const ways = some.flatMap((a) => others.map((b) => [a, b] as const));
    world.cut(fault, oneWay ? ways : [...ways, ...ways.map(([a, b]) => [b, a] as const)]);
    later(world, ms, () => world.heal(fault));
  },
  noise(world, chance) {
    const ms = chance.between(200, 8_000);
    const share = (): number => (chance.is(0.6) ? chance.between(0, 0.2) : 0);
    const noise = { drop: share(), duplicate: share(), reorder: share(), lateMs: chance.between(1, 1_500) };
    world.trace.say("fault", `noise ${JSON.stringify(noise)} for ${Math.round(ms)} ms`);
    world.hub.setEveryLink({ ...quiet, ...noise, delayMs: [0.05, chance.between(1, chance.is(0.25) ? 900 : 200)] });
    later(world, ms, () => world.hub.setEveryLink(quiet));
  },
  clock(world, chance) {
    const member = anyMember(world, chance);
    const byMs = (chance.is(0.5) ? 1 : -1) * (chance.is(0.5) ? hourMs : chance.between(100, hourMs));
    world.trace.say("fault", `the clock of ${member.name} jumps by ${Math.round(byMs)} ms`);
    member.process?.jumpClock(byMs);
  },
  full(world, chance) {
    const name = chance.is(0.75) ? "state" : "broker";
    const ms = chance.between(100, 6_000);
    world.trace.say("fault", `the disk of ${name} is full for ${Math.round(ms)} ms`);
    world.disk(name).full = true;
    later(world, ms, () => {
      world.disk(name).full = false;
    });
  },
  restart(world, chance) {
    const member = anyMember(world, chance);
    world.trace.say("fault", `${member.name} is told to stop`);
    void world.restart(member);
  },
};

/** A good network. */
export const quiet = { delayMs: [0.05, 1] } as const;

/**
 * Lets a seed's faults come over a world until `untilMs`, many of them soon after one of `busyMs`, when there is something
 * to lose. In one seed of twenty nothing goes wrong.
 *
 * @returns how many there are.
 */
export function scheduleFaults(world: World, chance: Chance, untilMs: number, busyMs: readonly number[]): number {
  const kinds = chance.some(Object.keys(faults));
  const all = chance.is(0.05) ? 0 : chance.whole(1, 24);
  for (let count = all; count > 0; count--) {
    const kind = chance.one(kinds);
    const fault = faults[kind] as Fault;
    const atMs = chance.is(0.6) ? chance.one(busyMs) + chance.between(0, 1_000) : chance.between(0, untilMs);
    later(world, Math.min(atMs, untilMs), () => fault(world, chance));
  }
  return all;
}

/** Ends whatever is still wrong. */
export function endFaults(world: World): void {
  world.trace.say("fault", "no more faults");
  world.isHealed = true;
  world.hub.setEveryLink(quiet);
  world.cuts.clear();
  world.hub.heal();
  for (const name of ["state", "broker"]) world.disk(name).full = false;
  for (const member of world.members.values()) {
    member.process?.crashIn(Number.POSITIVE_INFINITY);
    member.process?.thaw();
    if (!member.process?.alive) world.start(member);
  }
}
