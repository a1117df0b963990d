import { expect, test } from "bun:test";
import { waitFor } from "@soorma/core/testing";
import { inproc } from "@soorma/transport-inproc";
import { inProcessMesh } from "./in-process.ts";

/** A client of which is known which connections it closed. */
async function watched(mesh: Awaited<ReturnType<typeof inProcessMesh>>) {
  const transport = inproc(mesh.hub);
  const unlinked: string[] = [];
  const unlink = transport.unlink.bind(transport);
  transport.unlink = (address) => {
    unlinked.push(address);
    unlink(address);
  };
  return { client: await mesh.client({ mesh: mesh.mesh({ transport }) }), unlinked };
}

test("a publisher closes its connections to members of groups that are gone", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const { client, unlinked } = await watched(mesh);
  const got: number[] = [];
  const addresses: string[] = [];
  for (let n = 0; n < 3; n++) {
    const worker = mesh.worker({ name: "member" });
    worker.onEvent("job.done", ({ data }) => void got.push(data));
    await worker.run();
    addresses.push(worker.record().address);
    await client.bus.publish("job.done", n);
    await waitFor(() => got.length === n + 1);
    await worker.stop();
  }
  await waitFor(() => unlinked.length === 3);
  expect(unlinked).toEqual(addresses);
});

test("a connection to a state node that is gone is closed", async () => {
  await using mesh = await inProcessMesh();
  const { client, unlinked } = await watched(mesh);
  await client.memory.store("a", 1);
  mesh.hub.crash(mesh.stateNodeId);
  await waitFor(() => unlinked.length > 0);
  expect(unlinked.map((address) => address.includes(mesh.stateNodeId))).toEqual([true]);
});
