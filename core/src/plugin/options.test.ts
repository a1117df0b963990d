import { describe, expect, test } from "bun:test";
import { Type } from "typebox";
import { isSoormaError, type SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { systemRuntime } from "../runtime.ts";
import { createFromPlugin, parsePluginOptions } from "./options.ts";
import { definePlugin } from "./plugin.ts";
import type { TransportSupports } from "./transport.ts";

const supports: TransportSupports = {
  backpressure: false,
  peerEvents: false,
  heartbeats: false,
  interprocess: false,
  joins: false,
  security: ["none"],
};

class Hub {
  readonly name = "hub";
}

const created: unknown[] = [];
const plugin = definePlugin({
  kind: "transport",
  name: "pigeon",
  api: 1,
  supports,
  options: Type.Object({
    port: Type.Integer({ default: 7700, minimum: 1, maximum: 65_535 }),
    loft: Type.String(),
    mode: Type.Union([Type.Literal("fast"), Type.Literal("safe")], { default: "safe" }),
    level: Type.Optional(Type.Enum(["low", "high"])),
    tls: Type.Optional(
      Type.Object({ cert: Type.String(), verify: Type.Boolean({ default: true }) }, { additionalProperties: false }),
    ),
    rings: Type.Optional(Type.Array(Type.Object({ id: Type.Integer() }))),
    labels: Type.Optional(Type.Record(Type.String(), Type.String())),
    hub: Type.Optional(Type.Unsafe<Hub>({})),
  }),
  create: (options) => {
    created.push(options);
    return Promise.reject(new Error("created"));
  },
});

function refusal(options: unknown): SoormaError {
  try {
    parsePluginOptions(plugin, options);
  } catch (error) {
    if (isSoormaError(error, "PLUGIN_OPTIONS_INVALID")) return error;
    throw error;
  }
  throw new Error("the options were accepted");
}

function pathsOf(error: SoormaError): string[] {
  const errors = (error.details?.errors ?? []) as { path: string }[];
  return errors.map(({ path }) => path).sort();
}

describe("plugin options", () => {
  test("defaults are filled in at every level, and the caller's object is left as it was", () => {
    const given = { loft: "roof", tls: { cert: "x" }, rings: [{ id: 1 }] };
    expect(parsePluginOptions(plugin, given)).toEqual({
      port: 7700,
      loft: "roof",
      mode: "safe",
      tls: { cert: "x", verify: true },
      rings: [{ id: 1 }],
    });
    expect(given).toEqual({ loft: "roof", tls: { cert: "x" }, rings: [{ id: 1 }] });
  });

  test("values that are no plain data reach the plugin as they are", () => {
    const hub = new Hub();
    expect(parsePluginOptions(plugin, { loft: "roof", hub }).hub).toBe(hub);
  });

  test("an unknown key is refused with its path and the key that was probably meant", () => {
    const error = refusal({ loft: "roof", prot: 1 });
    expect(error.message).toBe('options of transport "pigeon": "prot" is not an option, did you mean "port"?');
    expect(error.hint).toBe("Its options are: port, loft, mode, level, tls, rings, labels, hub.");
    expect(error.details).toEqual({
      path: "prot",
      errors: [{ path: "prot", message: 'is not an option, did you mean "port"?' }],
    });
  });

  test("unknown keys inside objects and lists are found too, and a record takes any key", () => {
    expect(refusal({ loft: "roof", tls: { cert: "x", verfy: false } }).message).toContain(
      '"tls.verfy" is not an option, did you mean "verify"?',
    );
    expect(refusal({ loft: "roof", rings: [{ id: 1 }, { id: 2, colour: "red" }] }).details?.path).toBe(
      "rings.1.colour",
    );
    expect(parsePluginOptions(plugin, { loft: "roof", labels: { anything: "goes" } }).labels).toEqual({
      anything: "goes",
    });
  });

  test("a missing field, a wrong type and a number out of range name the field and what was given", () => {
    expect(refusal({}).message).toBe('options of transport "pigeon": "loft" is missing');
    expect(refusal(undefined).message).toBe('options of transport "pigeon": "loft" is missing');
    expect(refusal({ loft: 5 }).message).toBe('options of transport "pigeon": "loft" must be string, not 5');
    expect(refusal({ loft: "roof", port: 0 }).message).toBe(
      'options of transport "pigeon": "port" must be >= 1, not 0',
    );
    expect(refusal({ loft: "roof", tls: {} }).details?.path).toBe("tls.cert");
    expect(refusal("roof").message).toBe('options of transport "pigeon": must be object, not "roof"');
  });

  test("a choice lists what may be chosen", () => {
    expect(refusal({ loft: "roof", mode: "quick" }).message).toBe(
      'options of transport "pigeon": "mode" must be "fast" or "safe", not "quick"',
    );
    expect(refusal({ loft: "roof", level: "mid" }).message).toBe(
      'options of transport "pigeon": "level" must be "low" or "high", not "mid"',
    );
  });

  test("all problems are in the details, the first in the message", () => {
    const error = refusal({ port: "x", mode: 3, what: 1 });
    expect(error.message).toEndWith("(and 3 more)");
    expect(pathsOf(error)).toEqual(["loft", "mode", "port", "what"]);
  });

  test("a schema that takes additional properties keeps them, and one that cannot match refuses", () => {
    const create = () => Promise.reject(new Error("not called"));
    const base = { kind: "transport", name: "other", api: 1, supports, create } as const;
    const open = { ...base, options: Type.Object({ a: Type.Integer() }, { additionalProperties: Type.String() }) };
    expect(parsePluginOptions(open, { a: 1, b: "x" })).toEqual({ a: 1, b: "x" } as { a: number });
    expect(() => parsePluginOptions(open, { a: 1, b: 2 })).toThrow('"b"');
    const never = { ...base, options: Type.Object({ no: Type.Never() }) };
    expect(() => parsePluginOptions(never, { no: 1 })).toThrow('options of transport "other"');
  });

  test("create is called with checked options, and not at all with wrong ones", async () => {
    const deps = { log: silentLogger, runtime: systemRuntime };
    expect(await createFromPlugin(plugin, { prot: 1 }, deps).catch((error: SoormaError) => error.code)).toBe(
      "PLUGIN_OPTIONS_INVALID",
    );
    expect(created).toEqual([]);
    expect(await createFromPlugin(plugin, { loft: "roof" }, deps).catch((error: Error) => error.message)).toBe(
      "created",
    );
    expect(created).toEqual([{ port: 7700, loft: "roof", mode: "safe" }]);
  });
});
