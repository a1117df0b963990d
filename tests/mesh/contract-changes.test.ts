import { describe, expect, test } from "bun:test";
import { defineTool, developmentVersions } from "@soorma/core";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

describe("while an agent is being written", () => {
  test("a contract may change without a new version, and senders check against what is registered now", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const build = (field: string) => {
      const contract = defineTool({
        name: "measure",
        input: Type.Object({ [field]: Type.Number() }),
        output: Type.Unknown(),
      });
      const tool = mesh.tool({ name: "measurer", mesh: mesh.mesh({ schemaVersions: developmentVersions }) });
      tool.onInvoke(contract, ({ data }) => Object.keys(data as object));
      return tool;
    };
    const client = await mesh.client();
    const first = build("width");
    await first.run();
    expect(await client.bus.request("measure", { width: 1 })).toEqual(["width"]);
    await first.stop();
    await build("height").run();
    expect(await client.bus.request("measure", { height: 1 })).toEqual(["height"]);
    expect(await failureOf(client.bus.request("measure", { width: 1 }))).toThrow("/height is missing");
  });

  test("elsewhere a changed contract needs a new version", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const build = (field: string, version: string) => {
      const input = Type.Object({ [field]: Type.Number() });
      const tool = mesh.tool({ name: "measurer" });
      tool.onInvoke(defineTool({ name: "measure", version, input, output: Type.Unknown() }), () => null);
      return tool;
    };
    await build("width", "1.0.0").run();
    expect(await failureOf(build("height", "1.0.0").run())).toThrow(/measure\.input.*1\.0\.0/);
    await build("height", "1.1.0").run();
  });
});
