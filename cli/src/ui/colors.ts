import { styleText } from "node:util";
import type { Io } from "./io.ts";

const styles = ["bold", "dim", "red", "green", "yellow", "blue", "magenta", "cyan"] as const;

/** Text as a terminal shows it in a style; as it is where there are no colours. */
export interface Colors extends Readonly<Record<(typeof styles)[number], (text: string) => string>> {
  readonly isColorSupported: boolean;
}

export function createColors(enabled: boolean): Colors {
  const painters = styles.map((style) => [
    style,
    // The stream is not asked: who asks for colours has looked at it.
    enabled ? (text: string) => styleText(style, text, { validateStream: false }) : (text: string) => text,
  ]);
  return { ...(Object.fromEntries(painters) as Omit<Colors, "isColorSupported">), isColorSupported: enabled };
}

/** Colours for stderr: on a terminal, unless `NO_COLOR` is set or the terminal is dumb; forced by `FORCE_COLOR`. */
export function colorsFor(io: Pick<Io, "env" | "liveStderr">): Colors {
  if (io.env.NO_COLOR) return createColors(false);
  const forced = io.env.FORCE_COLOR;
  return createColors(forced ? forced !== "0" : io.liveStderr);
}

/** Colours for stdout, by the same rules. */
export function colorsForStdout(io: Pick<Io, "env" | "stdoutColumns">): Colors {
  return colorsFor({ env: io.env, liveStderr: io.stdoutColumns !== undefined });
}
