/** Bytes as a person reads them: `812 B`, `34 KB`, `1.2 GB`. Powers of 1000. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" || value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** How often in a second: `0`, `0.3`, `12`, `1.2k`, `34k`. */
export function formatRate(perSecond: number): string {
  if (perSecond < 0.05) return "0";
  if (perSecond < 9.95) return perSecond.toFixed(1);
  if (perSecond < 999.5) return String(Math.round(perSecond));
  return perSecond < 9_950 ? `${(perSecond / 1000).toFixed(1)}k` : `${Math.round(perSecond / 1000)}k`;
}
