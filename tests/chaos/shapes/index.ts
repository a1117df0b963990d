import { cancelled, chain, doomed, fan, flaky } from "./lists.ts";
import type { Shape } from "./shape.ts";

export const shapes: readonly Shape[] = [chain, fan, flaky, doomed, cancelled];

export function shapeOf(goal: string): Shape {
  const shape = shapes.find((one) => one.goal === goal);
  if (!shape) throw new TypeError(`there is no shape of plan for goal ${goal}`);
  return shape;
}
