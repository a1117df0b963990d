import { expectTypeOf, test } from "bun:test";
import { type Config, defineConfig } from "./define.ts";

test("the editor knows keys and values", () => {
  expectTypeOf(
    defineConfig({
      agents: { a: "a.ts", b: { entry: "b.ts" } },
      environments: { ci: { agents: { a: { instances: 2 } } } },
    }),
  ).toEqualTypeOf<Config>();
  defineConfig({ plugins: { transport: "nats", registry: { name: "nats", options: { url: "x" } } } });
  // @ts-expect-error: misspelt
  defineConfig({ mesh: { laeseMs: 1 } });
  // @ts-expect-error: of another type
  defineConfig({ dev: { port: "7700" } });
  // @ts-expect-error: an agent without a file
  defineConfig({ agents: { a: { instances: 2 } } });
  // @ts-expect-error: environments do not nest
  defineConfig({ environments: { ci: { environments: {} } } });
});
