// The templates live at the root of the repository; the published package carries a copy of them.
// Run by `bun pm pack` and `bun publish`: before with "copy", afterwards with "remove".
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";

const copy = join(import.meta.dir, "..", "templates");
rmSync(copy, { recursive: true, force: true });
if (process.argv[2] === "copy") cpSync(join(import.meta.dir, "..", "..", "templates"), copy, { recursive: true });
