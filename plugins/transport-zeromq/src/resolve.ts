import { lookup } from "node:dns/promises";
import { isHostName, parseShort } from "./address.ts";

/** Events name the endpoint by its number, so that is what is connected to. */
export async function resolveHost(endpoint: string): Promise<string> {
  const short = parseShort(endpoint);
  if ("path" in short) return endpoint;
  // In the one form libzmq writes IPv6 numbers in too.
  if (!isHostName(short.host)) return `tcp://${new URL(`http://${short.host}`).hostname}:${short.port}`;
  const { address, family } = await lookup(short.host, { order: "ipv4first" });
  return `tcp://${family === 6 ? `[${address}]` : address}:${short.port}`;
}
