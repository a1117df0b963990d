/** What one check found. */
export interface Finding {
  /** What was looked at: `bun`, `file limit`. */
  readonly name: string;
  /** `warn`: it works, but may not for long, or not as expected. `fail`: soorma cannot work so. */
  readonly status: "ok" | "warn" | "fail";
  /** One sentence. */
  readonly found: string;
  /** What to do about it; with every finding that is not `ok`. */
  readonly fix?: string;
}

export function ok(name: string, found: string): Finding {
  return { name, status: "ok", found };
}

export function warn(name: string, found: string, fix: string): Finding {
  return { name, status: "warn", found, fix };
}

export function fail(name: string, found: string, fix: string): Finding {
  return { name, status: "fail", found, fix };
}

/** For people: why something was thrown, in one line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";
}

/** What an error says to do, if it does. */
export function hintOf(error: unknown): string | undefined {
  return error instanceof Error && "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
}
