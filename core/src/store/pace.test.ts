import { expect, test } from "bun:test";
import { Pace } from "./pace.ts";

test("writes stay on this thread while they are fast on average, over one hiccup, and come back to it", () => {
  const pace = new Pace(2);
  expect(pace.isFast).toBe(true);
  for (let n = 0; n < 20; n++) pace.took(0.5);
  pace.took(5);
  expect(pace.isFast).toBe(true);
  for (let n = 0; n < 3; n++) pace.took(5);
  expect(pace.isFast).toBe(false);
  // However long it was: a few fast ones are enough.
  pace.took(10_000);
  for (let n = 0; n < 8; n++) pace.took(0.5);
  expect(pace.isFast).toBe(true);
});
