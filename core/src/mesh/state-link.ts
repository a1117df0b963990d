import { SoormaError } from "../errors.ts";
import type { StateCaller } from "../state-caller.ts";
import { trackerMethods } from "../tracker/protocol.ts";
import type { MeshNode } from "./node.ts";
import { defaultCallTimeoutMs } from "./peer-rpc.ts";
import type { CallOptions } from "./rpc.ts";

/** Finds the live state node for each call, and tells when one appears after there was none. */
export function createStateCaller(node: MeshNode): StateCaller {
  const reconnects = new Set<() => void>();
  let current: string | undefined;
  node.directory.onChange(() => {
    const found = node.directory.stateNodes()[0]?.agentId;
    if (found === current) return;
    current = found;
    if (found !== undefined) for (const listener of [...reconnects]) listener();
  });
  const find = () => node.directory.stateNodes()[0];
  const callWhenThere = async <Result>(method: string, params: unknown, options: CallOptions): Promise<Result> => {
    const timeoutMs = options.timeoutMs ?? defaultCallTimeoutMs;
    const started = node.runtime.monotonic();
    await node.until(() => find() !== undefined, timeoutMs, options.signal);
    const state = find();
    if (node.isClosing) throw new SoormaError("NODE_STOPPED", `"${method}" cannot be called: this node has stopped`);
    if (!state) {
      throw new SoormaError("NO_RESPONDER", `"${method}" found no state node in the mesh within ${timeoutMs} ms`);
    }
    const left = Math.max(1, timeoutMs - (node.runtime.monotonic() - started));
    node.noteContact(state.address);
    return await node.rpc.call(state.address, method, params, { ...options, timeoutMs: left });
  };
  return {
    call<Result>(method: string, params: unknown, options: CallOptions = {}) {
      const state = find();
      if (!state || node.isClosing) return callWhenThere(method, params, options);
      node.noteContact(state.address);
      if (node.tap === undefined) return node.rpc.call(state.address, method, params, options);
      const sent = node.rpc.call<Result>(state.address, method, params, options);
      if (method === trackerMethods.record) node.tap.order(params, sent);
      return sent;
    },
    closed: node.closed,
    onNote: (method, listener) => node.rpc.handle(method, ({ params }) => listener(params)),
    onReconnect(listener) {
      reconnects.add(listener);
      return { [Symbol.dispose]: () => void reconnects.delete(listener) };
    },
  };
}
