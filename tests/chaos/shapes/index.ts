import { delegated, each, steps, undone } from "./durable.ts";
import { cancelledNested, growing, machine, nested } from "./growing.ts";
import { cancelled, chain, doomed, fan, flaky } from "./lists.ts";
import type { Shape } from "./shape.ts";
import { asking, listening, sleeping } from "./waits.ts";

export const shapes: readonly Shape[] = [
  chain,
  fan,
  flaky,
  doomed,
  cancelled,
  steps,
  delegated,
  each,
  undone,
  sleeping,
  asking,
  listening,
  machine,
  nested,
  growing,
  cancelledNested,
];

export function shapeOf(goal: string): Shape {
  const shape = shapes.find((one) => one.goal === goal);
  if (!shape) throw new TypeError(`there is no shape of plan for goal ${goal}`);
  return shape;
}
