import type { Client } from "@soorma/core";

/**
 * A client for one command. The mesh's code is loaded only now: a wrong command line is told without waiting for it.
 *
 * @param tenantId - Whom the command speaks for. Default: the mesh's own tenant.
 */
export async function connect(tenantId?: string): Promise<Client> {
  const name = "soorma-cli";
  if (tenantId === undefined) return (await import("../agents.ts")).Client.connect({ name });
  const [{ Client }, { connectMesh, processLogger }] = await Promise.all([
    import("../agents.ts"),
    import("../mesh.ts"),
  ]);
  return Client.connect({ name, mesh: connectMesh({ tenantId, log: processLogger("warn") }) });
}
