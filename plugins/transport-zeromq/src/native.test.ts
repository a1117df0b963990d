import { describe, expect, test } from "bun:test";
import { isSoormaError } from "@soorma/core";
import { currentPlatform, libcOf, loadNative, type Platform, selectBinaries } from "./native.ts";

const entry = (os: string, arch: string, libc: string, abi: number): string => JSON.stringify({ os, arch, libc, abi });
// The shape of the manifest in zeromq 6.8.0.
const manifest: Record<string, string> = {
  [entry("linux", "x64", "glibc", 72)]: "linux/x64/node/glibc-72-Release/addon.node",
  [entry("linux", "x64", "glibc", 127)]: "linux/x64/node/glibc-127-Release/addon.node",
  [entry("linux", "x64", "glibc", 115)]: "linux/x64/node/glibc-115-Release/addon.node",
  [entry("linux", "x64", "musl", 127)]: "linux/x64/node/musl-127-Release/addon.node",
  [entry("linux", "arm64", "glibc", 127)]: "linux/arm64/node/glibc-127-Release/addon.node",
  [entry("linux", "arm64", "musl", 127)]: "linux/arm64/node/musl-127-Release/addon.node",
  [entry("darwin", "x64", "libc", 115)]: "darwin/x64/node/libc-115-Release/addon.node",
  [entry("darwin", "arm64", "libc", 115)]: "darwin/arm64/node/libc-115-Release/addon.node",
  [entry("win32", "x64", "msvc", 115)]: "win32\\x64\\node\\msvc-115-Release\\addon.node",
  "not json": "nowhere",
};
const platform = (os: string, arch: string, libc: Platform["libc"], abi = 147): Platform => ({ os, arch, libc, abi });

describe("the prebuilt file", () => {
  test.each([
    ["linux", "x64", "glibc", "linux/x64/node/glibc-127-Release/addon.node"],
    ["linux", "x64", "musl", "linux/x64/node/musl-127-Release/addon.node"],
    ["linux", "arm64", "glibc", "linux/arm64/node/glibc-127-Release/addon.node"],
    ["linux", "arm64", "musl", "linux/arm64/node/musl-127-Release/addon.node"],
    ["darwin", "x64", "libc", "darwin/x64/node/libc-115-Release/addon.node"],
    ["darwin", "arm64", "libc", "darwin/arm64/node/libc-115-Release/addon.node"],
  ] as const)("for %s %s %s is the newest that fits", (os, arch, libc, file) => {
    expect(selectBinaries(manifest, platform(os, arch, libc))[0]).toBe(file);
  });

  test("of the process's own ABI comes first, the others follow by age", () => {
    const abis = selectBinaries(manifest, platform("linux", "x64", "glibc", 115)).map(
      (file) => /-(\d+)-/.exec(file)?.[1],
    );
    expect(abis).toEqual(["115", "127", "72"]);
  });

  test("does not exist for Windows, nor for an unknown platform", () => {
    expect(selectBinaries(manifest, platform("win32", "x64", "msvc"))).toEqual([]);
    expect(selectBinaries(manifest, platform("linux", "riscv64", "glibc"))).toEqual([]);
  });

  test("of the installed package for this machine loads", () => {
    const { path, native } = loadNative();
    const { os, arch, libc } = currentPlatform();
    expect(path).toContain(`${os}/${arch}/`);
    expect(path).toContain(libc);
    expect(native.zmq_errno()).toBeNumber();
  });
});

test("the libc is read off the interpreter in the executable's head", () => {
  const head = (interpreter: string): Uint8Array => Buffer.from(`\x7fELF\0\0${interpreter}\0`);
  expect(libcOf("linux", head("/lib64/ld-linux-x86-64.so.2"))).toBe("glibc");
  expect(libcOf("linux", head("/lib/ld-musl-aarch64.so.1"))).toBe("musl");
  expect(libcOf("darwin", head(""))).toBe("libc");
  expect(libcOf("win32", head(""))).toBe("msvc");
});

test.each([
  ["Windows", platform("win32", "x64", "msvc"), "WSL"],
  ["an architecture without a file", platform("linux", "riscv64", "glibc"), "another transport"],
])("%s is one error that names the platform and what to do", (_, unusual, hint) => {
  let error: unknown;
  try {
    loadNative(unusual);
  } catch (thrown) {
    error = thrown;
  }
  expect(isSoormaError(error, "TRANSPORT_UNSUPPORTED")).toBe(true);
  if (!isSoormaError(error)) return;
  expect(error.message).toContain(`${unusual.os} ${unusual.arch} (${unusual.libc})`);
  expect(error.hint).toContain(hint);
});
