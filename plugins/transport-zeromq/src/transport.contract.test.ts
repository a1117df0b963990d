import { afterAll, describe } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemRuntime } from "@soorma/core";
import { Value } from "@soorma/core/schema";
import { transportContract } from "@soorma/core/testing";
import zeromqPlugin from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "zmq-contract-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const make = (given: Record<string, unknown>) => () =>
  zeromqPlugin.create(Value.Decode(zeromqPlugin.options, Value.Default(zeromqPlugin.options, given)), {
    log: silentLogger,
    runtime: systemRuntime,
  });

let sockets = 0;

describe("over ipc", () => {
  transportContract(zeromqPlugin, {
    make: make({ dir: folder, slowSubscriberMs: 60_000 }),
    freeAddress: () => `ipc://${folder}/free-${++sockets}`,
  });
});

describe("over tcp", () => {
  transportContract(zeromqPlugin, {
    make: make({ ipc: false, tcp: true, slowSubscriberMs: 60_000 }),
    freeAddress: freeTcpAddress,
  });
});

/** A port the system had free a moment ago. */
function freeTcpAddress(): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === "object") resolve(`tcp://127.0.0.1:${address.port}`);
        else reject(new Error("no port"));
      });
    });
  });
}
