import { memoryRegistry, memoryRegistryPlugin } from "./memory-registry.ts";
import { registryContract } from "./registry-contract.ts";

registryContract(memoryRegistryPlugin, async () => {
  const registry = memoryRegistry();
  return {
    connect: async () => registry.connect(),
    async outage() {
      registry.available = false;
    },
    async restore() {
      registry.available = true;
    },
    async [Symbol.asyncDispose]() {},
  };
});
