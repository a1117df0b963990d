#!/usr/bin/env bun
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

// `bun create soorma <arguments>` runs this with the arguments: it is `soorma init <arguments>`.
// The command is looked for beside the code that the package exports, since it is not exported itself.
const command = join("bin", "soorma.ts");
let folder = dirname(Bun.resolveSync("soorma", import.meta.dir));
while (!existsSync(join(folder, command)) && folder !== dirname(folder)) folder = dirname(folder);

process.argv.splice(2, 0, "init");
await import(join(folder, command));
