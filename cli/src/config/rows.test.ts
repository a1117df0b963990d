import { expect, test } from "bun:test";
import { resolveConfig } from "./resolve.ts";
import { configRows } from "./rows.ts";

test("keys, passwords and the like are not shown, wherever they stand", () => {
  const env = { OPENAI_KEY: "sk-1", DB_PASSWORD: "x", URL: "redis://user:pass@host/1", REGION: "eu", KEYBOARD: "de" };
  const agents = { worker: { entry: "src/worker.ts", env } };
  const plugin = { name: "p", options: { publicKey: "shown", secretKey: "not", nested: { token: "not" } } };
  const rows = configRows({
    root: "/project",
    resolved: resolveConfig({ config: { agents }, env: {} }),
    agents,
    plugins: { transport: plugin, registry: plugin },
    options: { transport: plugin.options, registry: {} },
  });
  const value = (path: string) => rows.find((row) => row.path === path)?.value;
  expect(value("agents.worker.env.OPENAI_KEY")).toBe("(hidden)");
  expect(value("agents.worker.env.DB_PASSWORD")).toBe("(hidden)");
  expect(value("agents.worker.env.URL")).toBe("redis://user:(hidden)@host/1");
  expect(value("agents.worker.env.REGION")).toBe("eu");
  expect(value("agents.worker.env.KEYBOARD")).toBe("de");
  expect(value("plugins.transport.options.publicKey")).toBe("shown");
  expect(value("plugins.transport.options.secretKey")).toBe("(hidden)");
  expect(value("plugins.transport.options.nested")).toEqual({ token: "(hidden)" });
});
