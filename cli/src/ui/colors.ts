import picocolors from "picocolors";
import type { Io } from "./io.ts";

export type Colors = ReturnType<typeof picocolors.createColors>;

/** Colours for stderr: on a terminal, unless `NO_COLOR` is set or the terminal is dumb; forced by `FORCE_COLOR`. */
export function colorsFor(io: Pick<Io, "env" | "liveStderr">): Colors {
  if (io.env.NO_COLOR) return picocolors.createColors(false);
  const forced = io.env.FORCE_COLOR;
  return picocolors.createColors(forced ? forced !== "0" : io.liveStderr);
}

/** Colours for stdout, by the same rules. */
export function colorsForStdout(io: Pick<Io, "env" | "stdoutColumns">): Colors {
  return colorsFor({ env: io.env, liveStderr: io.stdoutColumns !== undefined });
}
