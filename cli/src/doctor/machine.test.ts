import { expect, test } from "bun:test";
import type { Finding } from "./finding.ts";
import {
  judgeBun,
  judgeClock,
  judgeDisk,
  judgeFileLimit,
  judgePlatform,
  judgeSocketFolder,
  judgeWatches,
} from "./machine.ts";

const nowMs = Date.UTC(2026, 5, 1);
const clock = { nowMs, fileMs: nowMs, installedMs: nowMs - 1_000, synchronized: undefined };
const mebibyte = 1024 ** 2;

test.each([
  [judgeBun("1.4.5", ">=1.4.5")],
  [judgePlatform("linux", "arm64")],
  [judgeFileLimit(1_024, 4_096)],
  [judgeFileLimit(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)],
  [judgeWatches(128, 65_536)],
  [judgeClock(clock)],
  [judgeClock({ ...clock, synchronized: true })],
  [judgeClock({ ...clock, fileMs: undefined })],
  [judgeSocketFolder("/tmp/soorma-0-abc")],
  [judgeDisk("/x", 1_000 * mebibyte, 61_267)],
])("a machine that is as it should be: %j", (finding) => {
  expect(finding.status).toBe("ok");
  expect(finding.fix).toBeUndefined();
});

test.each<[Finding, Finding["status"], string, string]>([
  [judgeBun("1.2.0", ">=1.4.5"), "fail", "soorma needs >=1.4.5", "bun upgrade"],
  [judgePlatform("win32", "x64"), "fail", "win32 x64", "WSL"],
  [judgePlatform("linux", "riscv64"), "warn", "never run", "x64 or arm64"],
  [judgeFileLimit(64, 64), "fail", "64 open files", "raise the limit"],
  [judgeFileLimit(256, 4_096), "warn", "256 open files", "ulimit -n 4096"],
  [judgeFileLimit(256, Number.POSITIVE_INFINITY), "warn", "256 open files", "ulimit -n 65536"],
  [judgeWatches(128, 1_000), "warn", "1000 watches", "max_user_watches"],
  [judgeWatches(8, 65_536), "warn", "8 watchers", "max_user_instances"],
  [judgeClock({ ...clock, nowMs: 0, fileMs: 0 }), "fail", "before soorma was installed", "set the clock"],
  [judgeClock({ ...clock, fileMs: nowMs - 90_000 }), "warn", "90 s off", "set the clock"],
  [judgeClock({ ...clock, synchronized: false }), "warn", "not synchronised", "timedatectl"],
  [judgeSocketFolder(`/tmp/${"x".repeat(100)}`, 107), "fail", "118 bytes", "shorter folder"],
  [judgeSocketFolder(`/tmp/${"ü".repeat(50)}`, 107), "fail", "118 bytes", "shorter folder"],
  [judgeDisk("/x", 100, 61_267), "fail", "0 MiB free", "make room"],
  [judgeDisk("/x", 50 * mebibyte, 61_267), "warn", "50 MiB free", "make room"],
  [judgeDisk("/x", 1_000 * mebibyte, 0x6969), "warn", "NFS", "mesh.dataFolder"],
])("a machine that is not: %j", (finding, status, found, fix) => {
  expect(finding.status).toBe(status);
  expect(finding.found).toContain(found);
  expect(finding.fix).toContain(fix);
});
