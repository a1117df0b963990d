import { type Address, SoormaError } from "@soorma/core";

/** `tcp://127.0.0.1:7411`, with `#<node id>` in the long form, or a route: the way back to whoever connected. */
export type Target =
  | { readonly kind: "peer"; readonly host: string; readonly port: number; readonly nodeId: string | undefined }
  | { readonly kind: "route"; readonly nodeId: string };

const peer = /^tcp:\/\/([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})(?:#([a-z0-9-]{1,64}))?$/;
const route = /^route:\d+#([a-z0-9-]{1,64})$/;

/** @throws {SoormaError} `ADDRESS_INVALID` */
export function parseAddress(address: Address): Target {
  const [, host, port, nodeId] = peer.exec(address) ?? [];
  if (host !== undefined) return { kind: "peer", host: host.replace(/[[\]]/g, ""), port: Number(port), nodeId };
  const [, from] = route.exec(address) ?? [];
  if (from !== undefined) return { kind: "route", nodeId: from };
  throw new SoormaError("ADDRESS_INVALID", `"${address}" is no address of this transport`, {
    hint: "write it like tcp://127.0.0.1:7411",
  });
}
