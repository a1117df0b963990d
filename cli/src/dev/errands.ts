import { join } from "node:path";
import { whyUnwritten } from "../ui/disk-fault.ts";
import { exitCodes } from "../ui/errors.ts";
import type { Project } from "./project.ts";

export interface ErrandsOptions {
  readonly project: Project;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Has a process ended with the supervisor, however that ends. */
  guard(pid: number): Disposable;
}

/** Commands of this same CLI, run for a person who watches: looking into a mesh is nothing a supervisor does itself. */
export interface Errands {
  /**
   * Calls `onLine` with what it prints; resolves with its exit code.
   *
   * @param input - What it reads on stdin: an argument may have 128 KiB and no more.
   */
  run(args: readonly string[], onLine: (line: string) => void, input?: string): Promise<number>;
  /** What it prints as JSON; `undefined` when it failed. */
  ask<T>(args: readonly string[]): Promise<T | undefined>;
  kill(): void;
}

const bin = join(import.meta.dir, "..", "..", "bin", "soorma.ts");

export function createErrands({ project, env, guard }: ErrandsOptions): Errands {
  const running = new Set<Bun.Subprocess>();
  const start = (args: readonly string[], input?: string) => {
    const child = Bun.spawn([process.execPath, bin, ...args], {
      cwd: project.root,
      env: { ...env, SOORMA_MESH: project.meshFile },
      stdin: input === undefined ? "ignore" : new Blob([input]),
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    const guarded = guard(child.pid);
    running.add(child);
    void child.exited.then(() => {
      running.delete(child);
      guarded[Symbol.dispose]();
    });
    return child;
  };
  return {
    async run(args, onLine, input) {
      let child: ReturnType<typeof start>;
      try {
        child = start(args, input);
      } catch (error) {
        onLine(`the system did not start it: ${whyUnwritten(error)}`);
        return exitCodes.failed;
      }
      await Promise.all(
        [child.stdout, child.stderr].map(async (stream) => {
          let rest = "";
          const decoder = new TextDecoder();
          for await (const chunk of stream) {
            const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
            rest = lines.pop() ?? "";
            lines.forEach(onLine);
          }
          if (rest !== "") onLine(rest);
        }),
      );
      return await child.exited;
    },
    async ask<T>(args: readonly string[]) {
      let child: ReturnType<typeof start>;
      try {
        child = start([...args, "--json"]);
      } catch {
        return undefined;
      }
      const [text] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      return (await child.exited) === 0 ? (JSON.parse(text) as T) : undefined;
    },
    kill() {
      for (const child of running) child.kill("SIGKILL");
    },
  };
}
