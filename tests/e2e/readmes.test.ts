/**
 * Runs what the readmes tell people to type, as somebody does who has just cloned the repository: every `sh` block line
 * by line in one shell, and every `$ command` whose output a block shows. What cannot be run here says so above the block
 * (`<!-- not run: reason -->`) and is a skipped test. The examples of the command reference are in reference.test.ts.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Block, blocksOf, commandsOf, documentationPages, repository } from "../markdown.ts";
import { cleanEnv, tempFolder } from "./cli-run.ts";

const blocks = documentationPages().flatMap((page) => blocksOf(page));
/** Generated of the commands, and run by another test. */
const isReference = ({ page, text }: Block): boolean => page === "cli/README.md" && /^soorma /.test(text);
const scripts = blocks.filter((block) => block.language === "sh" && !isReference(block));
const outputs = blocks.filter((block) => block.language === "text" && block.text.startsWith("$ "));
const ofTemplate = ({ page }: Block): string | undefined => /^templates\/([^/]+)\/README\.md$/.exec(page)?.[1];

const temporary = tempFolder();
const home = join(temporary.path, "home");
const clone = join(home, "soorma");
const packages = join(temporary.path, "packages");

beforeAll(async () => {
  mkdirSync(home);
  const listed = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard"], { cwd: repository });
  for (const file of listed.stdout.toString().trim().split("\n")) {
    if (await Bun.file(join(repository, file)).exists()) cpSync(join(repository, file), join(clone, file));
  }
  await finished(start(clone, "bun install --frozen-lockfile"));
  await finished(start(clone, `bun run pack ${packages}`));
  // Where a readme says `soorma` alone it means the one that is installed.
  const command = join(temporary.path, "bin", "soorma");
  mkdirSync(dirname(command));
  writeFileSync(command, `#!/bin/sh\nexec bun ${join(clone, "cli/bin/soorma.ts")} "$@"\n`);
  chmodSync(command, 0o755);
  mkdirSync(join(clone, "docs"));
  writeFileSync(
    join(clone, "docs", "install.md"),
    "# Installing\n\nIt is installed with one command, `bun install`.\n",
  );
}, 120_000);
// Thousands of files, on a machine that may be busy.
afterAll(() => temporary[Symbol.dispose](), 60_000);

test("there are blocks to run", () => {
  expect(scripts.filter(({ notRun }) => notRun === undefined).length).toBeGreaterThan(4);
  expect(outputs.filter(({ notRun }) => notRun === undefined).length).toBeGreaterThan(0);
});

for (const block of scripts) {
  const title = `${block.page}:${block.line} runs as it is written`;
  if (block.notRun !== undefined) test.skip(`${title} (not run: ${block.notRun})`, () => {});
  else test(title, () => runBlock(block), 180_000);
}

for (const block of outputs) {
  const [first = "", ...shown] = block.text.trimEnd().split("\n");
  const title = `${block.page}:${block.line} shows what \`${first.slice(2)}\` prints`;
  if (block.notRun !== undefined) test.skip(`${title} (not run: ${block.notRun})`, () => {});
  else {
    test(title, async () => {
      const printed = shape(await finished(start(clone, first.slice(2))));
      let after = 0;
      for (const part of shown.flatMap((line) => line.split("[…]")).map(shape)) {
        expect(printed.slice(after)).toContain(part);
        after = printed.indexOf(part, after);
      }
    }, 180_000);
  }
}

async function runBlock(block: Block): Promise<void> {
  const template = ofTemplate(block);
  const folder = template === undefined ? clone : await scaffold(template);
  // A template's readme as its project has it, filled in.
  const filledIn = template === undefined ? undefined : readFileSync(join(folder, "README.md"), "utf8");
  const written = filledIn === undefined ? block : sameBlock(block, blocksOf(block.page, filledIn));
  const commands = commandsOf(written);
  const background: Running[] = [];
  let at = folder;
  try {
    for (const command of commands) {
      if (/#.*in one terminal/.test(command)) {
        const running = start(at, command);
        background.push(running);
        await running.line(/ready in \d+ ms/);
        continue;
      }
      // A `cd` holds for the lines after it, as in a terminal.
      const output = await finished(start(at, `${command}\nresult=$?; echo; echo "::$PWD"; exit $result`));
      at = /::(.*)\s*$/.exec(output)?.[1] ?? at;
    }
  } finally {
    for (const running of background) expect(await running.interrupt()).toBe(0);
  }
}

/** The block at the same place of another version of its page. */
function sameBlock(block: Block, among: readonly Block[]): Block {
  const found = among[blocksOf(block.page).findIndex(({ line }) => line === block.line)];
  if (!found) throw new Error(`the generated readme has no such block as ${block.page}:${block.line}`);
  return found;
}

const nameOf = (template: string): string => `my-${template}`;

async function scaffold(template: string): Promise<string> {
  const folder = join(home, nameOf(template));
  const type = template.replace(/^plugin-(.*)/, "plugin --kind $1");
  const flags = `--type ${type} --yes --no-git --packages ${packages}`;
  await finished(start(home, `soorma init ${nameOf(template)} ${flags}`));
  return folder;
}

type Running = ReturnType<typeof start>;

function start(cwd: string, command: string) {
  const env = cleanEnv({
    HOME: home,
    // What was installed before is taken from where it is.
    BUN_INSTALL_CACHE_DIR: cacheFolder(),
    NO_COLOR: "1",
    PATH: [join(temporary.path, "bin"), dirname(process.execPath), process.env.PATH].join(":"),
  });
  const child = Bun.spawn(["/bin/bash", "-c", command], {
    cwd,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // A group of its own, for a Ctrl-C that is meant for it alone.
    detached: true,
  });
  let out = "";
  let err = "";
  let wake = Promise.withResolvers<void>();
  const read = async (stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      take(decoder.decode(chunk, { stream: true }));
      wake.resolve();
    }
  };
  const ended = Promise.all([
    read(child.stdout, (text) => {
      out += text;
    }),
    read(child.stderr, (text) => {
      err += text;
    }),
    child.exited,
  ]).then(() => wake.resolve());
  return {
    command,
    ended,
    get code() {
      return child.exitCode;
    },
    get out() {
      return out;
    },
    get err() {
      return err;
    },
    /** Resolves when what it wrote has this in it. */
    async line(pattern: RegExp): Promise<void> {
      while (!pattern.test(out + err)) {
        if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}:\n${out}${err}`);
        wake = Promise.withResolvers();
        await wake.promise;
      }
    },
    async interrupt(): Promise<number | null> {
      if (child.exitCode === null) process.kill(-child.pid, "SIGINT");
      await ended;
      return child.exitCode;
    },
  };
}

async function finished(running: Running): Promise<string> {
  await running.ended;
  const { command, code, out, err } = running;
  if (code !== 0) throw new Error(`${command} ended with ${code}:\n${out}${err}`);
  return out;
}

function cacheFolder(): string {
  return Bun.spawnSync([process.execPath, "pm", "cache"], { cwd: repository }).stdout.toString().trim();
}

/** What stays the same from one run to the next: words, not numbers, their units and spaces. */
function shape(text: string): string {
  return text
    .replace(/\d+(?:[.,]\d+)*(?: m?s\b)?/g, "#")
    .replace(/\s+/g, " ")
    .trim();
}
