import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentRecord, PlanSummary, SchemaRecord } from "@soorma/core";
import { keyLines } from "../config/key-lines.ts";
import { configFileName, settings } from "../config/settings.ts";
import type { Project } from "../dev/project.ts";
import type { Io } from "../ui/io.ts";
import { formatDuration } from "../ui/time.ts";
import type { Candidate, ValueSources } from "./candidates.ts";

interface Live {
  readonly agents: readonly AgentRecord[];
  close(): Promise<void>;
  plans(): Promise<readonly PlanSummary[]>;
  keys(prefix: string): Promise<readonly string[]>;
  schemas(): Promise<readonly SchemaRecord[]>;
}

/** Plans, newest first, and keys that are offered. */
const offered = 50;

/** What the project and its running mesh have. Each part is loaded when it is asked for, and a mesh there is not has nothing. */
export function createSources(io: Pick<Io, "cwd" | "env">): ValueSources & AsyncDisposable {
  let connected: Promise<Live> | undefined;
  const live = async <T>(read: (mesh: Live) => readonly T[] | Promise<readonly T[]>): Promise<readonly T[]> => {
    connected ??= connectLive(io);
    return await read(await connected);
  };
  const records = (read: (record: AgentRecord) => readonly Candidate[]): Promise<readonly Candidate[]> =>
    live(({ agents }) => agents.flatMap(read));
  const project = async (): Promise<Project> => (await import("../dev/project.ts")).findProject(io.cwd);
  const source = async (): Promise<string> => {
    const file = join((await project()).root, configFileName);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  };
  return {
    agents: () => records(({ name, kind, description }) => [{ value: name, description: description || kind }]),
    planners: () =>
      records(({ name, kind, description }) => (kind === "planner" ? [{ value: name, description }] : [])),
    goals: () =>
      records(({ goals, name }) => goals.map((goal) => ({ value: goal.name, description: goal.description ?? name }))),
    events: (which) =>
      records((record) => record[which].map(({ type }) => ({ value: type, description: record.name }))),
    capabilities: () =>
      records(({ capabilities, name }) => capabilities.map((value) => ({ value, description: name }))),
    operations: (capability) =>
      records(({ capabilities, name, operations, tasks }) =>
        capabilities.includes(capability) || name === capability
          ? [...operations, ...tasks].map((one) => ({ value: one.name, description: one.description ?? name }))
          : [],
      ),
    plans: () =>
      live(async ({ plans }) =>
        (await plans()).map(({ planId, goalType, status, createdAtMs }) => ({
          value: planId,
          description: `${goalType}, ${status}, ${formatDuration(Date.now() - createdAtMs)} ago`,
        })),
      ),
    keys: (prefix) => live(async ({ keys }) => (await keys(prefix)).map((value) => ({ value }))),
    schemas: () =>
      live(async ({ schemas }) =>
        (await schemas()).map(({ name, description }) => ({
          value: name,
          ...(description === undefined ? {} : { description }),
        })),
      ),
    async projectAgents() {
      const { root } = await project();
      const { agentDefinitions } = await import("../dev/agents.ts");
      // Its configuration is read, not run: somebody is waiting for a key to do something.
      const configured = [...keyLines(await source()).keys()].flatMap(
        (path) => /^agents\.([^.]+)$/.exec(path)?.[1] ?? [],
      );
      const names = configured.length > 0 ? configured : Object.keys(agentDefinitions(root, {}));
      return names.map((value) => ({ value }));
    },
    async environments() {
      const paths = [...keyLines(await source()).keys()];
      return paths.flatMap((path) => {
        const [, name] = /^environments\.([^.]+)$/.exec(path) ?? [];
        return name === undefined ? [] : [{ value: name }];
      });
    },
    async settings() {
      const sections = ["agents", "mesh", "plugins", "memory", "tracker", "dev"];
      return [...sections, ...settings.map(({ path }) => path)].map((value) => ({ value }));
    },
    async [Symbol.asyncDispose]() {
      await (await connected?.catch(() => undefined))?.close();
    },
  };
}

/** A node that looks and is no agent: nobody is told of it. */
async function connectLive(io: Pick<Io, "cwd" | "env">): Promise<Live> {
  const { findMeshFile } = await import("../mesh-file.ts");
  // Cheap, and mostly the answer: nothing runs here.
  const meshFile = findMeshFile({ cwd: io.cwd, env: io.env });
  const [{ connectMesh }, { silentLogger }] = await Promise.all([import("../mesh.ts"), import("@soorma/core")]);
  const mesh = connectMesh({ meshFile, log: silentLogger });
  const { node, tracker, memory } = await mesh.acquire();
  return {
    agents: node.directory.all(),
    plans: () => tracker.list({ limit: offered }),
    keys: async (prefix) => (await memory.list(prefix, { limit: offered })).map(({ key }) => key),
    schemas: () => node.registry.querySchemas({}),
    close: () => mesh.release(),
  };
}
