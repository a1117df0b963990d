import type { Memory } from "../memory/contract.ts";
import type { Tracker } from "../tracker/contract.ts";
import type { Bus } from "./bus.ts";
import type { RegistryService } from "./registry-service.ts";

/** The four services every agent and every handler has. */
export interface PlatformContext {
  readonly registry: RegistryService;
  readonly memory: Memory;
  readonly bus: Bus;
  readonly tracker: Tracker;
}
