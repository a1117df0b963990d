import { isIP } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Address, isSoormaError, randomId, SoormaError } from "@soorma/core";
import { type Endpoints, formatAddress, parseShort, type ShortForm } from "./address.ts";
import { holderOf, socketFolder, sweep } from "./host.ts";
import type { Settings } from "./settings.ts";
import type { DuplexSocket } from "./sockets.ts";

type Bindable = Pick<DuplexSocket, "bind">;

/** Where nodes listen, as the plugin's options have it. */
export interface ListenOptions {
  /** Folder of the unix sockets. Default: one of this user's. */
  readonly dir?: string;
  readonly ipc: boolean;
  readonly tcp: boolean;
  /** Address of the TCP sockets. */
  readonly host: string;
  /** By what name others reach it. Default: `host`, or this machine's name if that stands for all its addresses. */
  readonly advertiseHost?: string;
}

/** The node that listens. `listen`: where it has to be, beside or instead of what the options say. */
export interface Listener {
  readonly settings: Settings;
  readonly hostId: string;
  readonly listen: ShortForm | undefined;
}

/**
 * Binds what a node is reached at, and makes its address. Both sockets listen in the same ways, so that whoever can reach one can
 * reach the other.
 *
 * @throws {SoormaError} `ADDRESS_IN_USE` with who has it, `ADDRESS_INVALID`
 */
export async function listenAt(
  router: Bindable,
  publisher: Bindable,
  options: ListenOptions,
  { settings, hostId, listen }: Listener,
): Promise<Address> {
  const { runtime, log, nodeId, curve } = settings;
  const tcpAt =
    listen !== undefined && "port" in listen ? listen : options.tcp ? { host: options.host, port: 0 } : undefined;
  const tcp = tcpAt && (await bindTcp(router, publisher, tcpAt, options.advertiseHost));
  let ipc: Endpoints | undefined;
  if (listen !== undefined && "path" in listen) {
    ipc = { router: listen.path, publisher: `${listen.path}.pub` };
  } else if (options.ipc) {
    const folder = socketFolder(options.dir);
    // The names are short because the whole path must fit into 107 bytes.
    const name = join(folder, randomId(runtime, 10));
    ipc = { router: `${name}.r`, publisher: `${name}.p` };
    void sweep(folder, runtime.now()).catch((error: unknown) => {
      log.debug("sweep.failed", { folder, error: String(error) });
    });
  }
  if (ipc !== undefined) {
    await bind(router, `ipc://${ipc.router}`);
    await bind(publisher, `ipc://${ipc.publisher}`);
  }
  if (ipc === undefined && tcp === undefined) {
    throw new SoormaError("ADDRESS_INVALID", "the node listens nowhere: ipc and tcp are both off", {
      hint: "Set one of the transport's options ipc and tcp, or listen.",
    });
  }
  return formatAddress({
    kind: "node",
    nodeId,
    hostId,
    ...(ipc === undefined ? {} : { ipc }),
    ...(tcp === undefined ? {} : { tcp }),
    ...(curve === undefined ? {} : { key: curve.publicKey }),
  });
}

async function bindTcp(
  router: Bindable,
  publisher: Bindable,
  { host, port }: { readonly host: string; readonly port: number },
  advertiseHost: string | undefined,
): Promise<Endpoints> {
  const wildcard = ["0.0.0.0", "*", "[::]"].includes(host);
  const name = advertiseHost ?? (wildcard ? hostname() : host);
  const advertised = isIP(name) === 6 ? `[${name}]` : name;
  const portOf = (endpoint: string): string => endpoint.slice(endpoint.lastIndexOf(":") + 1);
  const directed = await bind(router, `tcp://${host}:${port}`);
  const published = await bind(publisher, `tcp://${host}:0`);
  return { router: `${advertised}:${portOf(directed)}`, publisher: `${advertised}:${portOf(published)}` };
}

async function bind(socket: Bindable, endpoint: string): Promise<string> {
  try {
    return await socket.bind(endpoint);
  } catch (error) {
    if (!isSoormaError(error, "ADDRESS_IN_USE")) throw error;
    const holder = holderOf(parseShort(endpoint));
    throw new SoormaError("ADDRESS_IN_USE", `cannot listen at ${endpoint}: ${holder ?? "another process"} does`, {
      hint: "Stop it, or listen at another address.",
      details: { endpoint, ...(holder === undefined ? {} : { holder }) },
      cause: error,
    });
  }
}
