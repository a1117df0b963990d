import { isRunning } from "../dev/process-identity.ts";
import { findMeshFile, type MeshFile, readMeshFile } from "../mesh-file.ts";
import { CommandError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";

const lookEveryMs = 1_000;

/** Rejects when the mesh that runs here has ended. Disposing ends the watch. */
export interface MeshLife extends Disposable {
  readonly ended: Promise<never>;
}

/** For commands that would otherwise wait for ever for what nobody is there to send any more. */
export function watchMeshLife({ cwd, env }: Pick<Io, "cwd" | "env">): MeshLife {
  const path = findMeshFile({ cwd, env });
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {});
  let mesh: MeshFile | undefined;
  const look = async (): Promise<void> => {
    try {
      mesh = await readMeshFile(path);
    } catch (cause) {
      // The file goes first. Agents then finish what they do and leave, which is part of what is followed.
      if (mesh && isRunning(mesh.supervisor)) return;
      const hint = "start it again with `soorma dev`";
      ended.reject(new CommandError("MESH_ENDED", "the mesh that ran here was stopped", { hint, cause }));
    }
  };
  void look();
  const timer = setInterval(() => void look(), lookEveryMs);
  return { ended: ended.promise, [Symbol.dispose]: () => clearInterval(timer) };
}
