import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSocketFolder } from "./project.ts";

// Somebody else is whoever root becomes.
test.if(process.getuid?.() === 0)("a socket folder that is somebody else's is refused, with what to do", async () => {
  // Where everybody may look, unlike into a temporary folder of one's own.
  const parent = mkdtempSync("/tmp/soorma-project-");
  try {
    chmodSync(parent, 0o755);
    const folder = join(parent, "theirs");
    mkdirSync(folder);
    writeFileSync(join(folder, "socket"), "");
    const script = `const { makeSocketFolder } = await import(${JSON.stringify(join(import.meta.dir, "project.ts"))});
process.setuid(65534);
try {
  makeSocketFolder(${JSON.stringify(folder)});
} catch (error) {
  console.log(JSON.stringify([error.code, error.hint]));
}`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    const [code, hint] = JSON.parse((await child.stdout.text()) || "[]") as string[];
    expect(code).toBe("SOCKET_FOLDER_TAKEN");
    expect(hint).toContain("plugins.transport.options.dir");
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
});

test("a socket folder that the disk does not take is told with why, and is no bug", async () => {
  const parent = mkdtempSync("/tmp/soorma-project-");
  try {
    const file = join(parent, "file");
    writeFileSync(file, "");
    const folder = join(file, "sockets");
    expect(() => makeSocketFolder(folder)).toThrow(
      expect.objectContaining({
        code: "FILE_UNWRITABLE",
        message: `${folder} cannot be written: a file is in the way (ENOTDIR); nothing was started`,
      }),
    );
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
});
