import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAgentRunner } from "./agent-runner.ts";
import type { ManagedProcess, ProcessSpec } from "./managed-process.ts";
import type { TypeVerdict } from "./type-check.ts";

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-runner-")));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A process that loads at once, and works at the word. */
function fakeProcess(spec: ProcessSpec, onWork: () => void): ManagedProcess {
  const started = Promise.withResolvers<{ ready: true; info: Record<string, unknown> }>();
  return {
    spec,
    identity: { pid: 1, startTime: "" },
    startedAtMs: 0,
    started: started.promise,
    loaded: Promise.resolve(),
    exited: new Promise(() => {}),
    isReady: false,
    go() {},
    work() {
      onWork();
      started.resolve({ ready: true, info: {} });
    },
    activity: async () => undefined,
    stop: async () => {},
    kill() {},
  };
}

/** Runs an agent whose file is written by `check`, which is given how often it was called. */
async function refresh(check: (file: string, call: number) => TypeVerdict) {
  const file = join(root, "one.ts");
  writeFileSync(file, "export const version = 0;");
  const worked: string[] = [];
  const said: string[] = [];
  let calls = 0;
  const runner = createAgentRunner(
    { name: "one", agent: "one", file, env: {} },
    {
      root,
      buildFolder: undefined,
      start: (spec) => fakeProcess(spec, () => worked.push(`after check ${calls}`)),
      specOf: (entry, path) => ({
        name: entry.name,
        role: "agent",
        argv: [path],
        cwd: root,
        env: {},
        drainMs: 0,
      }),
      standbys: undefined,
      standbyModule: "",
      types: { process: undefined, check: async () => check(file, ++calls), close() {} },
      debuggerUrl: undefined,
      say: (_, line) => said.push(line),
      onChange() {},
      backoffMs: 1_000,
    },
  );
  await runner.refresh();
  return { worked, said, calls, state: runner.status.state };
}

test("a file that is written after it was checked is checked again before its code works", async () => {
  const { worked, calls } = await refresh((file, call) => {
    if (call === 1) writeFileSync(file, "export const version = 1;");
    return { ok: true };
  });
  expect({ worked, calls }).toEqual({ worked: ["after check 2"], calls: 2 });
});

test("code with a type error that comes after the check does not work", async () => {
  const { worked, said, state } = await refresh((file, call) => {
    if (call === 1) writeFileSync(file, "export const version: string = 1;");
    return call === 1 ? { ok: true } : { ok: false, problem: "TS2322: no" };
  });
  expect({ worked, said, state }).toEqual({
    worked: [],
    said: ["TS2322: no\nwaiting for a change"],
    state: "failed",
  });
});

test("an agent whose files are written at every start is judged by what they are then", async () => {
  const { worked, calls } = await refresh((file, call) => {
    writeFileSync(file, `export const version = ${call};`);
    return { ok: true };
  });
  expect({ worked, calls }).toEqual({ worked: ["after check 5"], calls: 5 });
});
