import type { Address } from "../plugin/transport.ts";

/** One connection: bytes in order, both ways. */
export interface Stream {
  /**
   * Takes the beginning of the bytes, as many as there is room for now, without keeping them.
   *
   * @returns How many; when it was not all of them, {@link StreamHandler.drain} has to be called once there is room.
   */
  write(bytes: Uint8Array): number;
  /** Closes the connection when what was taken has been sent. */
  end(): void;
}

/** What a network tells of a connection. */
export interface StreamHandler {
  /** Any number of bytes; they are only read during the call. */
  read(bytes: Uint8Array): void;
  drain(): void;
  /** It is over, whoever ended it. Any number of times. */
  closed(): void;
}

/** Called once a connection is there. */
export type StreamAccept = (stream: Stream) => StreamHandler;

export interface StreamListener {
  /** Where other nodes connect to: `tcp://127.0.0.1:7411`. */
  readonly address: Address;
  /** Takes no further connections. Those that are there go on. */
  stop(): void;
}

/** How connections are made: the part of a transport over streams that is different for each network. */
export interface StreamNetwork {
  /** @throws {SoormaError} `ADDRESS_INVALID` for what is no address of this network. */
  check(address: Address): void;
  /**
   * @param address - Default: one of the network's choice.
   * @throws {SoormaError} `ADDRESS_IN_USE`
   */
  listen(address: Address | undefined, accept: StreamAccept): Promise<StreamListener>;
  /** Resolves when the connection is there, and rejects with whatever prevented it: it is then tried again. */
  connect(address: Address, accept: StreamAccept): Promise<void>;
}
