import { findMeshFile, readMeshFile } from "../mesh-file.ts";
import { CommandError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";

const lookEveryMs = 1_000;

/** Rejects when the mesh that runs here ends. Disposing ends the watch. */
export interface MeshLife extends Disposable {
  readonly ended: Promise<never>;
}

/** For commands that would otherwise wait for ever for what nobody is there to send any more. */
export function watchMeshLife({ cwd, env }: Pick<Io, "cwd" | "env">): MeshLife {
  const path = findMeshFile({ cwd, env });
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  const look = async (): Promise<void> => {
    try {
      await readMeshFile(path);
    } catch (cause) {
      const hint = "start it again with `soorma dev`";
      ended.reject(new CommandError("MESH_ENDED", "the mesh that ran here was stopped", { hint, cause }));
    }
  };
  const timer = setInterval(() => void look(), lookEveryMs);
  return { ended: ended.promise, [Symbol.dispose]: () => clearInterval(timer) };
}
