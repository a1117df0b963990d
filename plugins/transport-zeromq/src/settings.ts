import type { Logger, Runtime } from "@soorma/core";
import type { CurveKeypair, SocketOptions } from "./sockets.ts";

/** What the parts of a transport share. */
export interface Settings {
  readonly nodeId: string;
  readonly log: Logger;
  readonly runtime: Runtime;
  readonly maxFrameBytes: number;
  readonly hwm: number;
  readonly heartbeatMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly reconnectMs: number;
  readonly reconnectMaxMs: number;
  readonly slowSubscriberMs: number;
  readonly curve: CurveKeypair | undefined;
}

/** Control frames, channels and subscriptions are small; a limit for messages below this would end connections. */
export const minMaxMessageBytes = 1024;
/** UTF-8 bytes of a channel or a prefix. */
export const maxChannelBytes = 1000;

/** Options of every socket that takes messages. */
export function receiving(settings: Settings): SocketOptions {
  return {
    sendHwm: settings.hwm,
    receiveHwm: settings.hwm,
    maxMessageBytes: Math.max(settings.maxFrameBytes, minMaxMessageBytes),
    handshakeTimeoutMs: 5000,
  };
}

/** Options of a connection that is asked for signs of life; libzmq's own thread answers, so a busy peer does too. */
export function heartbeats(settings: Settings): SocketOptions {
  return { heartbeatIntervalMs: settings.heartbeatMs, heartbeatTimeoutMs: settings.heartbeatTimeoutMs };
}

/** The first frame of a two-frame message on the directed sockets: what a connection begins with. */
export const hello = Buffer.from("soorma.hello.1");
export const welcome = Buffer.from("soorma.welcome.1");
