/**
 * Data of a message whose type was named by a plain string: nothing is known of it at compile time.
 *
 * Pass a contract (`defineTask`, `defineTool`, …) instead of the string and the data is typed and checked.
 */
// biome-ignore lint/suspicious/noExplicitAny: with `unknown`, untyped handlers could not read a field without a cast.
export type AnyData = any;
