/** The value that so large a share of the values does not exceed. @param of - 0 to 1. @returns `NaN` of no values. */
export function quantile(values: readonly number[], of: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? Number.NaN;
}

/** @returns `NaN` of no values. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
