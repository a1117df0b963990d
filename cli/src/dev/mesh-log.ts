import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Colors } from "../ui/colors.ts";

/** One line that a process of the mesh printed. */
export interface MeshLogLine {
  readonly timeMs: number;
  readonly name: string;
  readonly stream: "stdout" | "stderr" | "soorma";
  readonly line: string;
}

/** Keeps what all processes of the mesh print, in order, as JSON lines. */
export interface MeshLog extends Disposable {
  write(line: MeshLogLine): void;
}

const rotateBytes = 32 * 1024 * 1024;

/** Begins a new log; the one before stays beside it as `<file>.1`. */
export function openMeshLog(file: string): MeshLog {
  mkdirSync(dirname(file), { recursive: true });
  let fd = openNew(file);
  let size = 0;
  return {
    write(line) {
      const text = `${JSON.stringify({ ...line, line: Bun.stripANSI(line.line) })}\n`;
      if (size + text.length > rotateBytes) {
        closeSync(fd);
        fd = openNew(file);
        size = 0;
      }
      try {
        size += writeSync(fd, text);
      } catch {
        // A full disk must not take the mesh down with its log.
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function openNew(file: string): number {
  if (existsSync(file) && statSync(file).size > 0) renameSync(file, `${file}.1`);
  return openSync(file, "a", 0o600);
}

/** Lines from `offset` on, and where the next read goes on. A line that is not complete yet is left for it. */
export function readMeshLog(file: string, offset = 0): { readonly lines: MeshLogLine[]; readonly offset: number } {
  const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
  // Shorter than before: a new log was begun.
  const from = offset <= bytes.length ? offset : 0;
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end <= from) return { lines: [], offset: from };
  const lines = bytes
    .subarray(from, end)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as MeshLogLine);
  return { lines, offset: end };
}

export type LinePainter = (line: Pick<MeshLogLine, "name" | "line">) => string;

/** Puts the name of its process before each line, in a colour of its own. */
export function createLinePainter(colors: Colors): LinePainter {
  const palette = [colors.cyan, colors.magenta, colors.green, colors.blue, colors.yellow];
  const given = new Map<string, (text: string) => string>([
    ["soorma", colors.bold],
    ["broker", colors.dim],
    ["state", colors.dim],
  ]);
  const special = given.size;
  let width = "soorma".length;
  return ({ name, line }) => {
    width = Math.max(width, Math.min(24, name.length));
    const color = given.get(name) ?? palette[(given.size - special) % palette.length] ?? colors.cyan;
    given.set(name, color);
    return `${color(name.padEnd(width))} ${colors.dim("│")} ${line}`;
  };
}
