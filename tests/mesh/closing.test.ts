import { expect, test } from "bun:test";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

/** A mesh with a node whose registry ends by failing once. */
async function failing() {
  const mesh = await inProcessMesh({ state: false });
  let left = 1;
  const own = mesh.mesh({
    createRegistry: async (deps) => {
      const registry = await createFromPlugin(registryBroker, { address: mesh.broker.address }, deps);
      const close = async (): Promise<void> => {
        await registry.close();
        if (left-- > 0) throw new Error("the registry broke");
      };
      return { ...registry, close };
    },
  });
  return { mesh, own };
}

test("a node whose registry fails to close says so, and leaves no socket open", async () => {
  const { mesh, own } = await failing();
  await using _ = mesh;
  const { node } = await own.acquire();
  expect(mesh.hub.nodeIds).toContain(node.nodeId);
  expect(await failureOf(own.release())).toThrow("the registry broke");
  expect(mesh.hub.nodeIds).not.toContain(node.nodeId);
});

test("a node that is opened while the one before it fails to close is not concerned", async () => {
  const { mesh, own } = await failing();
  await using _ = mesh;
  const { node } = await own.acquire();
  const released = failureOf(own.release());
  while (!node.isClosing) await Promise.resolve();
  const next = own.acquire();
  expect(await released).toThrow("the registry broke");
  expect((await next).node.nodeId).not.toBe(node.nodeId);
  await own.release();
});
