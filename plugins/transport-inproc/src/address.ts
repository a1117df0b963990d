import { type Address, SoormaError } from "@soorma/core";

/** What an address says: a name someone listens under and perhaps which node that must be, or one connection. */
export type Target =
  | { readonly kind: "name"; readonly name: string; readonly nodeId: string | undefined }
  | { readonly kind: "route"; readonly connection: number; readonly nodeId: string };

const namePattern = /^inproc:\/\/([\w.-]{1,128})(?:#([a-z0-9-]{1,64}))?$/;
const routePattern = /^inproc-route:(\d{1,15})#([a-z0-9-]{1,64})$/;

export function formatName(name: string, nodeId: string): Address {
  return `inproc://${name}#${nodeId}`;
}

export function formatRoute(connection: number, nodeId: string): Address {
  return `inproc-route:${connection}#${nodeId}`;
}

/** @throws {SoormaError} `ADDRESS_INVALID` */
export function parseAddress(address: Address): Target {
  const name = namePattern.exec(address);
  if (name) return { kind: "name", name: name[1] ?? "", nodeId: name[2] };
  const route = routePattern.exec(address);
  if (route) return { kind: "route", connection: Number(route[1]), nodeId: route[2] ?? "" };
  throw new SoormaError("ADDRESS_INVALID", `"${address}" is not an address of the inproc transport`, {
    hint: 'write it as "inproc://<name>" with 1 to 128 letters, digits, "_", "." or "-"',
  });
}

/** The node id an address says, also of one that is none of this transport's. */
export function nodeIdIn(address: Address): string | undefined {
  return (namePattern.exec(address) ?? routePattern.exec(address))?.[2];
}
