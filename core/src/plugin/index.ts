/** Finding, loading and making plugins: for what wires a process together. Authors of plugins need `definePlugin` alone. */
export { createPluginLoader, type PluginLoader, type PluginLoaderOptions, pluginApi } from "./loader.ts";
export { createFromPlugin, parsePluginOptions } from "./options.ts";
export { type InstalledPlugin, listPlugins, type PluginMetadata } from "./packages.ts";
