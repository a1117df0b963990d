import { createServices, type NodeServices } from "../agents/services.ts";
import { MeshNode, type NodeOptions } from "./node.ts";

/**
 * The mesh as an agent gets it: a node that is opened when the first agent of the process needs it, shared by all, and
 * closed after the last.
 */
export interface Mesh {
  /** Opens the node, or shares the open one. @throws {SoormaError} what {@link MeshNode.open} throws. */
  acquire(): Promise<NodeServices>;
  /** Gives back one `acquire`; the last one closes the node. */
  release(): Promise<void>;
}

/** @param open - Makes the options of a node; called again when the node is opened again after it was closed. */
export function createMesh(open: () => Promise<NodeOptions>): Mesh {
  let users = 0;
  let opening: Promise<NodeServices> | undefined;
  let closing: Promise<void> | undefined;
  return {
    async acquire() {
      users++;
      try {
        // That it failed is told to whoever closed it.
        await closing?.catch(() => {});
        opening ??= (async () => createServices(await MeshNode.open(await open())))();
        return await opening;
      } catch (error) {
        users--;
        opening = undefined;
        throw error;
      }
    },
    async release() {
      users--;
      if (users > 0 || !opening) return;
      const services = await opening;
      // Somebody may have come while this waited.
      if (users > 0) return;
      opening = undefined;
      closing = services.close().finally(() => {
        closing = undefined;
      });
      await closing;
    },
  };
}
