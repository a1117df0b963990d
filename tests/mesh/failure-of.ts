/**
 * A function that throws what the promise rejects with, for `expect(await failureOf(…)).toThrow(…)`.
 *
 * Bun's `expect().rejects` runs the event loop inside the matcher, where `setImmediate` callbacks starve.
 */
export async function failureOf(promise: Promise<unknown>): Promise<() => never> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (reason) => reason,
  );
  return () => {
    throw error;
  };
}
