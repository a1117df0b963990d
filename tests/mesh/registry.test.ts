import { describe, expect, test } from "bun:test";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const quick = { state: false };

describe("the registry", () => {
  test("finds agents by name, kind, capability, operation and events, exactly", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "researcher", capabilities: ["web_research"], produces: ["page.found"] });
    tool.onInvoke("search", () => null);
    tool.onEvent("page.wanted", () => {});
    await tool.run();
    const { registry } = await mesh.client();
    const names = async (query: Parameters<typeof registry.query>[0]) =>
      (await registry.query(query)).map(({ name }) => name);
    expect(await names({ name: "researcher" })).toEqual(["researcher"]);
    expect(await names({ kind: "tool" })).toEqual(["researcher"]);
    expect(await names({ capability: "web_research" })).toEqual(["researcher"]);
    expect(await names({ operation: "search" })).toEqual(["researcher"]);
    expect(await names({ consumes: "page.wanted" })).toEqual(["researcher"]);
    expect(await names({ produces: "page.found" })).toEqual(["researcher"]);
    for (const capability of ["sea", "web", "web_research2"]) expect(await names({ capability })).toEqual([]);
    expect(await names({ kind: "tool", name: "other" })).toEqual([]);
  });

  test("that cannot be reached is an error, not an empty list", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "still-there", capabilities: ["staying"] });
    tool.onInvoke("stay", () => "yes");
    await tool.run();
    const client = await mesh.client();
    await mesh.broker.close();
    expect(await failureOf(client.registry.query({ name: "still-there" }))).toThrow(/registry|broker/i);
    // Those who know each other go on.
    expect(await (await client.registry.find("staying"))?.invoke("stay", {})).toBe("yes");
  }, 20_000);

  test("tells of agents that come and go", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    const stop = new AbortController();
    const seen: string[][] = [];
    const watching = (async () => {
      for await (const { agents } of client.registry.watch({ signal: stop.signal }))
        seen.push(agents.map(({ name }) => name).sort());
    })();
    const tool = mesh.tool({ name: "comes-and-goes" });
    await tool.run();
    await waitFor(() => seen.at(-1)?.includes("comes-and-goes") === true);
    await tool.stop();
    await waitFor(() => seen.at(-1)?.includes("comes-and-goes") === false);
    stop.abort();
    await watching;
  });

  test("tells no more when the node that was asked stops", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    let told = 0;
    let over = false;
    const watching = (async () => {
      for await (const _change of client.registry.watch()) told++;
      over = true;
    })();
    await waitFor(() => told > 0);
    await client.stop();
    await waitFor(() => over);
    await watching;
  });

  test("that refuses a change leaves the agent as it was", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "changing", capabilities: ["staying"] });
    tool.onInvoke("change", async ({ data }, context) => {
      await context.registry.register({ capabilities: data });
    });
    await tool.run();
    const client = await mesh.client();
    const handle = await client.registry.find("staying", { timeoutMs: 1_000 });
    expect(await failureOf(handle?.invoke("change", ["not a word"]) ?? Promise.resolve())).toThrow(/capabilities\[0\]/);
    await tool.pause();
    await tool.resume();
    const again = await client.registry.find("staying", { timeoutMs: 1_000 });
    await again?.invoke("change", ["moving"]);
    expect((await client.registry.find("moving", { timeoutMs: 1_000 }))?.name).toBe("changing");
  });
});
