import type { AgentHandle, Client } from "@soorma/core";

/** Who is in the mesh now, kept up to date. */
export interface LiveNames {
  /** Handles of the live agents by name; of several instances any. */
  readonly agents: Readonly<Record<string, AgentHandle>>;
  /** Names of agents, capabilities, goals, tasks, operations and events. */
  names(): readonly string[];
  /** Resolves when it is known who is there. */
  readonly ready: Promise<void>;
}

export function watchNames(client: Client, signal: AbortSignal): LiveNames {
  const agents: Record<string, AgentHandle> = Object.create(null);
  let names: readonly string[] = [];
  const ready = Promise.withResolvers<void>();
  void (async () => {
    try {
      for await (const _change of client.registry.watch({ signal })) {
        const handles = (await client.registry.query({})).filter(({ agentId }) => agentId !== client.agentId);
        for (const name of Object.keys(agents)) delete agents[name];
        for (const handle of handles) agents[handle.name] = handle;
        names = [...new Set(handles.flatMap(namesOf))].sort();
        ready.resolve();
      }
    } catch {
      // With the registry away the names are those that were known.
    }
    ready.resolve();
  })();
  return { agents, names: () => names, ready: ready.promise };
}

function namesOf({ record }: AgentHandle): string[] {
  const { name, capabilities, goals, tasks, operations, produces } = record;
  const own = [...goals, ...tasks, ...operations].map((one) => one.name);
  return [name, ...capabilities, ...own, ...produces.map(({ type }) => type)].filter(
    (one) => !one.startsWith("soorma."),
  );
}
