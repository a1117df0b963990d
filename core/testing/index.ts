export { type CollectingLogger, collectingLogger } from "./collecting-logger.ts";
export {
  type FakeRuntime,
  type FakeRuntimeOptions,
  fakeRuntime,
  type RunOptions,
  seededRandom,
} from "./fake-runtime.ts";
export { type WaitForOptions, waitFor } from "./wait-for.ts";
