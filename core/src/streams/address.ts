import type { Address } from "../plugin/transport.ts";

/** What the network knows, and who is expected there; or a route: the way back to whoever connected. */
export type Target =
  | { readonly kind: "peer"; readonly place: Address; readonly nodeId: string | undefined }
  | { readonly kind: "route"; readonly nodeId: string };

/** See `TransportOpenOptions.nodeId`. */
const nodeIdPattern = /^[a-z0-9-]{1,64}$/;

/** Who a peer says it is. @throws {TypeError} for what is no node id. */
export function readNodeId(text: string): string {
  if (!nodeIdPattern.test(text)) throw new TypeError("it does not say which node it is");
  return text;
}

const withNode = /^(.*)#([a-z0-9-]{1,64})$/s;
const route = /^route:\d+$/;

export function parseTarget(address: Address): Target {
  const [, place = address, nodeId] = withNode.exec(address) ?? [];
  return nodeId !== undefined && route.test(place) ? { kind: "route", nodeId } : { kind: "peer", place, nodeId };
}
