import type { Client } from "@soorma/core";

/** A client for one command. The mesh's code is loaded only now: a wrong command line is told without waiting for it. */
export async function connect(): Promise<Client> {
  const { Client } = await import("../agents.ts");
  return Client.connect({ name: "soorma-cli" });
}
