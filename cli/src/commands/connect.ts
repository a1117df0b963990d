import type { Client } from "@soorma/core";
import { Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";

interface ConnectOptions {
  /** Default: `soorma-cli`. */
  readonly name?: string;
  /** Whom the command speaks for. Default: the mesh's own tenant. */
  readonly tenantId?: string | undefined;
}

/**
 * A client for one command. The mesh's code is loaded only now: a wrong command line is told without waiting for it.
 *
 * @throws {Interrupted} at once by Ctrl-C, however long a broker that does not answer is waited for.
 */
export async function connect({ signal }: Pick<Io, "signal">, options: ConnectOptions = {}): Promise<Client> {
  const interrupted = Promise.withResolvers<never>();
  interrupted.promise.catch(() => {});
  const onAbort = (): void => interrupted.reject(new Interrupted());
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([connected(options), interrupted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function connected({ name = "soorma-cli", tenantId }: ConnectOptions): Promise<Client> {
  if (tenantId === undefined) return (await import("../agents.ts")).Client.connect({ name });
  const [{ Client }, { connectMesh, processLogger }] = await Promise.all([
    import("../agents.ts"),
    import("../mesh.ts"),
  ]);
  return Client.connect({ name, mesh: connectMesh({ tenantId, log: processLogger("warn") }) });
}
