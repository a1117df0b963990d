export { codeOf } from "./code-of.ts";
export { type CollectingLogger, collectingLogger } from "./collecting-logger.ts";
export {
  type FakeRuntime,
  type FakeRuntimeOptions,
  fakeRuntime,
  type RunOptions,
  seededRandom,
} from "./fake-runtime.ts";
export {
  type MemoryPlanLog,
  type MemoryPlanLogOptions,
  memoryPlanLog,
  type PlanLogCall,
} from "./memory-plan-log.ts";
export { type MemoryRegistry, memoryRegistry, memoryRegistryPlugin } from "./memory-registry.ts";
export { planOrigin } from "./plan-changes.ts";
export { agentRecord } from "./records.ts";
export { type RegistryFixture, registryContract } from "./registry-contract.ts";
export {
  createRpcNetwork,
  type RpcMessage,
  type RpcNetwork,
  type RpcNetworkNode,
  type RpcNetworkOptions,
} from "./rpc-network.ts";
export {
  type Dispatched,
  type ScriptedDispatcher,
  type ScriptedTask,
  scriptedDispatcher,
} from "./scripted-dispatcher.ts";
export { type SimulatedDisk, type SimulatedDiskOptions, simulatedDisk } from "./simulated-disk.ts";
export { type ProcessEffect, SimulatedProcess, type SimulatedProcessOptions } from "./simulated-process.ts";
export { type StoreContractSubject, storeContract } from "./store-contract.ts";
export { type TransportSetup, transportContract } from "./transport-contract.ts";
export { type WaitForOptions, waitFor } from "./wait-for.ts";
