import type { Static, TSchema } from "typebox";
import type { RegistryBackend, RegistryDeps } from "./registry.ts";
import type { Transport, TransportDeps } from "./transport.ts";

/**
 * The kinds of plugins there are, and what each makes out of what.
 *
 * A package adds a kind by declaration merging; nothing else in core changes for it.
 */
export interface PluginKinds {
  transport: { instance: Transport; deps: TransportDeps; supports: Transport["supports"] };
  registry: { instance: RegistryBackend; deps: RegistryDeps; supports: RegistryBackend["supports"] };
}

export type PluginKind = keyof PluginKinds;

/** A part that does nothing until `create` is called: no sockets, timers, files or globals before it. */
export interface Plugin<K extends PluginKind = PluginKind, O extends TSchema = TSchema> {
  readonly kind: K;
  /** Unique within its kind: `zeromq`. */
  readonly name: string;
  /** The plugin interface this was written for; checked when it is loaded. */
  readonly api: 1;
  readonly supports: PluginKinds[K]["supports"];
  /** Checked before `create`, which gets the options with the schema's defaults filled in. */
  readonly options: O;
  create(options: NoInfer<Static<O>>, deps: PluginKinds[K]["deps"]): Promise<PluginKinds[K]["instance"]>;
}

/** Types a plugin's definition; returns it as it is. */
export function definePlugin<K extends PluginKind, O extends TSchema>(plugin: Plugin<K, O>): Plugin<K, O> {
  return plugin;
}
