import type { Address, Timer } from "@soorma/core";
import { formatRoute } from "./address.ts";
import type { Pipe } from "./pipe.ts";

/** What the hub calls on a node. */
export interface HubNode {
  readonly nodeId: string;
  /** What it listens under. */
  readonly name: string;
  /** The machine it is on, by which faults may name it. */
  readonly host: string | undefined;
  /** Asked before each event; a "no" is followed by `resume` of the pipe. */
  eventGate(pipe: Pipe): boolean;
  accepted(connection: Connection): void;
  /** Called at once when a connection this node accepted is gone. */
  dropped(connection: Connection): void;
  /** Ends without sending anything any more, as a killed process does. */
  kill(): void;
  /** Whether it ends the connection itself by closing. */
  readonly ended: boolean;
}

/** A node's wish to be connected to an address. The hub connects it whenever somebody listens there. */
export interface Dial {
  readonly node: HubNode;
  readonly address: Address;
  readonly name: string;
  readonly nodeId: string | undefined;
  connection: Connection | undefined;
  connecting: boolean;
  closed: boolean;
  up(connection: Connection): void;
  /** Called at once; sends wait from now on. */
  lost(reason: string): void;
  /** Called in a turn of its own, before the next attempt to connect. */
  down(reason: string): void;
}

/** Two nodes' connection: directed frames and protocol both ways, published frames from the acceptor to the dialer. */
export interface Connection {
  readonly id: number;
  readonly dial: Dial;
  readonly acceptor: HubNode;
  /** The address the acceptor reaches the dialer at. */
  readonly route: Address;
  readonly forward: Pipe;
  readonly back: Pipe;
  readonly events: Pipe;
  /** The dialer's subscriptions that the acceptor knows of. */
  readonly prefixes: Set<string>;
  up: boolean;
  /** Runs while nothing gets through in one direction. */
  heartbeat: Timer | undefined;
}

export function createConnection(
  id: number,
  dial: Dial,
  acceptor: HubNode,
  pipes: Pick<Connection, "forward" | "back" | "events">,
): Connection {
  const route = formatRoute(id, dial.node.nodeId);
  return { id, dial, acceptor, route, ...pipes, prefixes: new Set(), up: true, heartbeat: undefined };
}
