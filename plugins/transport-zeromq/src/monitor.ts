import { type MonitorEventName, monitorEvents } from "./zmq.ts";

export interface MonitorEvent {
  readonly type: MonitorEventName;
  /** The endpoint bound to or connected to; for `accepted`, the one bound. */
  readonly endpoint: string;
  /** A descriptor, an errno, a reconnect interval or a ZMTP error code, as zmq_socket_monitor(3) says for the event. */
  readonly value: number;
}

const names = new Map<number, MonitorEventName>(
  Object.entries(monitorEvents).map(([name, bit]) => [bit, name as MonitorEventName]),
);

/** The bits of `events`. */
export function eventMask(events: readonly MonitorEventName[]): number {
  return events.reduce((mask, name) => mask | monitorEvents[name], 0);
}

/** Reads what a monitor's PAIR socket delivers (version 1: 16 bits event, 32 bits value, native order; endpoint). */
export function parseMonitorEvent(frames: readonly Uint8Array[]): MonitorEvent | undefined {
  const [head, endpoint] = frames;
  if (head?.byteLength !== 6 || endpoint === undefined) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const type = names.get(view.getUint16(0, true));
  if (type === undefined) return undefined;
  return { type, endpoint: Buffer.from(endpoint).toString(), value: view.getUint32(2, true) };
}
