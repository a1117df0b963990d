const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A length of time as a person gives it: `90s`, `15m`, `2h`, `7d`.
 *
 * @returns milliseconds.
 */
export function parseDuration(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  const ms = Number(count) * (unitsMs[unit as keyof typeof unitsMs] ?? Number.NaN);
  if (!(ms > 0)) throw new TypeError(`${text} is no length of time: 90s, 15m, 2h, 7d`);
  return ms;
}

/**
 * A moment as a person gives it: how long ago (`90s`, `15m`, `2h`, `7d`), or a date (`2026-01-31`, `2026-01-31T12:00Z`).
 *
 * @returns milliseconds since the epoch.
 */
export function parseTime(text: string, nowMs = Date.now()): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return nowMs - Number(count) * unitsMs[unit as keyof typeof unitsMs];
  const date = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(date)) throw new TypeError(`${text} is no time: 90s, 15m, 2h, 7d or a date like 2026-01-31`);
  return date;
}

/** How long something took or takes: `85 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`. */
export function formatDuration(ms: number): string {
  const rounded = Math.max(0, ms);
  if (rounded < 999.5)
    return rounded < 9.95 && rounded % 1 !== 0 ? `${rounded.toFixed(1)} ms` : `${Math.round(rounded)} ms`;
  if (rounded < 59_950) return `${(rounded / 1000).toFixed(rounded < 9_950 ? 1 : 0)} s`;
  const seconds = Math.round(rounded / 1000);
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
