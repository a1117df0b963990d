/**
 * The schema library, from one place: every package of Soorma imports it from here, so that a process loads it once. Its
 * 700 files cost more time to load than everything else together; the published core carries them in one.
 */
export { type Static, type TSchema, Type } from "typebox";
export { Compile } from "typebox/compile";
export { Value } from "typebox/value";
