import { isIP } from "node:net";
import { type Address, SoormaError } from "@soorma/core";
import { checkIpcPath } from "./ipc.ts";

export const nodeIdPattern = /^[a-z0-9-]{1,64}$/;
const keyPattern = /^[0-9a-zA-Z.\-:+=^!/*?&<>()[\]{}@%$#]{40}$/;
const routePattern = /^([a-z0-9-]{1,64})(?:\/[a-z0-9]{1,16})?$/;

/** Everything a node can be reached at. */
export interface NodeAddress {
  readonly kind: "node";
  readonly nodeId: string;
  /** Tells whether a unix socket's path means the same to the reader. */
  readonly hostId: string;
  /** Paths. */
  readonly ipc?: Endpoints;
  /** `host:port`. */
  readonly tcp?: Endpoints;
  /** The CURVE public key. */
  readonly key?: string;
}

export interface Endpoints {
  readonly router: string;
  readonly publisher: string;
}

/** One endpoint, as a person writes it into a config: good for directed messages. */
interface ShortAddress {
  readonly kind: "short";
  readonly endpoint: string;
}

/** The connection a message came by. */
export interface RouteAddress {
  readonly kind: "route";
  readonly nodeId: string;
  readonly routingId: Uint8Array;
}

export type ParsedAddress = NodeAddress | ShortAddress | RouteAddress;

const scheme = "zeromq://";
const routeScheme = "route:";

/** The text of a node's address: `zeromq://<node id>?host=…&ipc=…&ipcpub=…&tcp=…&tcppub=…&key=…`. */
export function formatAddress(address: NodeAddress): Address {
  const query = new URLSearchParams({ host: address.hostId });
  if (address.ipc !== undefined) {
    query.set("ipc", address.ipc.router);
    query.set("ipcpub", address.ipc.publisher);
  }
  if (address.tcp !== undefined) {
    query.set("tcp", address.tcp.router);
    query.set("tcppub", address.tcp.publisher);
  }
  if (address.key !== undefined) query.set("key", address.key);
  return `${scheme}${address.nodeId}?${query}`;
}

/** The address of the connection with this routing id, `undefined` when it is not one a node of ours gives itself. */
export function routeOf(routingId: Uint8Array): Address | undefined {
  const text = Buffer.from(routingId.buffer, routingId.byteOffset, routingId.byteLength).toString("latin1");
  return routePattern.test(text) ? routeScheme + text : undefined;
}

/**
 * Reads an address, a route or a short form.
 *
 * @throws {SoormaError} `ADDRESS_INVALID` naming what is wrong.
 */
export function parseAddress(address: Address): ParsedAddress {
  if (address.startsWith(routeScheme)) return parseRoute(address);
  if (address.startsWith(scheme)) return parseNode(address);
  return { kind: "short", endpoint: parseShort(address).endpoint };
}

function parseRoute(address: Address): RouteAddress {
  const text = address.slice(routeScheme.length);
  const nodeId = routePattern.exec(text)?.[1];
  if (nodeId === undefined) throw invalid(address, "it is not a route");
  return { kind: "route", nodeId, routingId: Buffer.from(text, "latin1") };
}

function parseNode(address: Address): NodeAddress {
  const [nodeId = "", queryText] = address.slice(scheme.length).split("?");
  if (!nodeIdPattern.test(nodeId)) throw invalid(address, "its node id is not 1 to 64 characters of a-z, 0-9 and -");
  const query = new URLSearchParams(queryText);
  const pair = (name: string, check: (text: string) => void): Endpoints | undefined => {
    const router = query.get(name);
    const publisher = query.get(`${name}pub`);
    if (router === null && publisher === null) return undefined;
    if (router === null || publisher === null) throw invalid(address, `only one of ${name} and ${name}pub is given`);
    check(router);
    check(publisher);
    return { router, publisher };
  };
  const ipc = pair("ipc", checkIpcPath);
  const tcp = pair("tcp", (text) => {
    if (parseTcp(text) === undefined) throw invalid(address, `"${text}" is not host:port`);
  });
  if (ipc === undefined && tcp === undefined) throw invalid(address, "it has no endpoint");
  const key = query.get("key");
  if (key !== null && !keyPattern.test(key)) throw invalid(address, "its key is not 40 characters of Z85");
  return {
    kind: "node",
    nodeId,
    hostId: query.get("host") ?? "",
    ...(ipc === undefined ? {} : { ipc }),
    ...(tcp === undefined ? {} : { tcp }),
    ...(key === null ? {} : { key }),
  };
}

export type ShortForm =
  | { readonly endpoint: string; readonly path: string }
  | { readonly endpoint: string; readonly host: string; readonly port: number };

/**
 * Reads `tcp://host:port` or `ipc:///path`. Port 0 is only of use for listening.
 *
 * @throws {SoormaError} `ADDRESS_INVALID`.
 */
export function parseShort(address: Address): ShortForm {
  if (address.startsWith("ipc://")) {
    const path = address.slice("ipc://".length);
    if (!path.startsWith("/")) throw invalid(address, "the path after ipc:// has to be absolute");
    checkIpcPath(path);
    return { endpoint: address, path };
  }
  const tcp = address.startsWith("tcp://") ? parseTcp(address.slice("tcp://".length)) : undefined;
  if (tcp === undefined) throw invalid(address, "it is neither tcp://host:port nor ipc:///path");
  return { endpoint: address, ...tcp };
}

function parseTcp(text: string): { host: string; port: number } | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+|\*):(\d{1,5})$/.exec(text);
  const [, host = "", portText = ""] = match ?? [];
  const port = Number(portText);
  return match === null || port > 65_535 ? undefined : { host, port };
}

/** Whether a host of an endpoint has to be looked up. */
export function isHostName(host: string): boolean {
  return isIP(host.replace(/^\[|\]$/g, "")) === 0;
}

function invalid(address: Address, why: string): SoormaError {
  return new SoormaError("ADDRESS_INVALID", `"${address.slice(0, 200)}" is not a ZeroMQ address: ${why}`, {
    hint: "Use tcp://host:port, ipc:///path or an address a node announced.",
  });
}
