import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SoormaError } from "../errors.ts";
import { findTemplates, parseTemplate, resolveTemplates, type TemplateScope } from "./template.ts";

const when = new Date(0);
const scope: TemplateScope = {
  goal: { id: "g1", type: "t", data: { topic: "bees", none: null, "a b": 7, __proto__field: 1 } },
  results: {
    search: {
      papers: [{ title: "Bees {{goal.id}}" }, { title: "Wasps" }],
      count: 2,
      done: true,
      when,
      bytes: new Uint8Array(2),
    },
    "my-task#2": "ok",
    "a.b": [1, 2, 3],
  },
  item: 0,
  index: 4,
};
const refusal = (body: () => unknown): SoormaError => {
  try {
    body();
  } catch (error) {
    if (error instanceof SoormaError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("templates", () => {
  test.each([
    ["{{goal.data.topic}}", "bees"],
    [" {{ results.search.count }} ", 2],
    ["{{results.search.done}}", true],
    ["{{results.search.papers.length}}", 2],
    ["{{results.search.papers[1].title}}", "Wasps"],
    ["{{results.search.papers}}", scope.results.search],
    ["{{goal.data.topic.length}}", 4],
    ["{{goal.data.none}}", null],
    ['{{goal.data["a b"]}}', 7],
    ["{{results.my-task#2}}", "ok"],
    ['{{results["a.b"][2]}}', 3],
    ["{{item}}", 0],
    ["{{results.search.when}}", when],
    ["{{results.search.papers[0].title}}", "Bees {{goal.id}}"],
    [
      "on {{goal.data.topic}}: {{results.search.count}} ({{results.search.done}}), {{goal.data.none}}",
      "on bees: 2 (true), null",
    ],
    ["{{results.a.b}}{{item}}", undefined],
    ['list {{results["a.b"]}} at {{results.search.when}}', "list [1,2,3] at 1970-01-01T00:00:00.000Z"],
    ["Hello {{name}}, {{ items }} {{resulting.x}} {{", "Hello {{name}}, {{ items }} {{resulting.x}} {{"],
  ] as [string, unknown][])("%s", (text, value) => {
    if (value === undefined) {
      expect(refusal(() => resolveTemplates(text, scope)).details?.path).toBe("results.a");
      return;
    }
    const expected = text === "{{results.search.papers}}" ? (value as { papers: unknown }).papers : value;
    expect(resolveTemplates(text, scope)).toEqual(expected);
  });

  test("nested values are filled in where they are, and what has no template is the value itself", () => {
    const data = { q: "{{goal.data.topic}}", list: ["{{index}}", { deep: "n={{item}}" }], when, n: 1 };
    expect(resolveTemplates(data, scope)).toEqual({ q: "bees", list: [4, { deep: "n=0" }], when, n: 1 });
    const plain = { list: [{ when }], text: "{ {goal.id} }" };
    expect(resolveTemplates(plain, scope)).toBe(plain);
    expect(data.q).toBe("{{goal.data.topic}}");
  });

  test("what is missing is refused with its path, where it is wanted, and what is there", () => {
    const missing = (text: string) => refusal(() => resolveTemplates({ list: [text] }, scope));
    const error = missing("{{results.search.pages[0]}}");
    expect(error.code).toBe("TEMPLATE_UNRESOLVED");
    expect(error.message).toBe(
      'data.list[0] wants {{results.search.pages[0]}}, but there is no results.search.pages: results.search has "papers", "count", "done", "when", "bytes"',
    );
    expect(error.details).toEqual({ path: "results.search.pages", at: "data.list[0]" });
    expect(missing("{{results.search.papers[2]}}").message).toEndWith("results.search.papers is a list of 2");
    expect(missing("{{goal.data.none.x}}").message).toEndWith("goal.data.none is null");
    expect(missing("{{goal.data.topic.x}}").message).toEndWith('goal.data.topic is the text "bees"');
    expect(missing("{{result.x}}").message).toEndWith(
      'there is no "result" here, only "goal", "results", "item", "index"',
    );
  });

  test("nothing inherited is found, and nothing is run", () => {
    let ran = 0;
    const data = Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true } }) as Record<string, unknown>;
    class Counter {
      get count(): number {
        return ++ran;
      }
    }
    const hostile: TemplateScope = { goal: { id: "g", type: "t", data }, results: { counter: new Counter() } };
    expect(resolveTemplates("{{goal.data.own}}", hostile)).toBe(2);
    for (const path of [
      "goal.data.inherited",
      "goal.data.__proto__",
      "goal.constructor",
      "goal.data.toString",
      "results.counter.count",
      'results["__proto__"]',
      "goal.type.constructor",
    ]) {
      expect(refusal(() => resolveTemplates(`{{${path}}}`, hostile)).code).toBe("TEMPLATE_UNRESOLVED");
    }
    expect(ran).toBe(0);
    const polluting = JSON.parse('{"__proto__": {"bad": "{{goal.id}}"}}') as unknown;
    const resolved = resolveTemplates(polluting, hostile) as Record<string, unknown>;
    expect(resolved.bad).toBeUndefined();
    expect(Object.keys(resolved)).toEqual(["__proto__"]);
  });

  test("any value at any path comes back as itself", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.nat(20)), { maxLength: 5 }), fc.jsonValue(), (path, value) => {
        let data: unknown = value;
        for (const key of path.toReversed()) {
          data =
            typeof key === "number"
              ? Object.assign(Array(key).fill(0), { [key]: data })
              : Object.fromEntries([[key, data]]);
        }
        const text = `{{item${path.map((key) => `[${JSON.stringify(key)}]`).join("")}}}`;
        expect(parseTemplate(text)?.path).toEqual(path);
        expect(resolveTemplates(text, { ...scope, item: data })).toBe(value);
      }),
      { numRuns: 300 },
    );
  });

  test("they are found beforehand, and one that is no path is refused", () => {
    expect(findTemplates({ a: ["x {{goal.id}} {{ item }}", "{{name}}"] }, "data")).toEqual([
      { at: "data.a[0]", text: "{{goal.id}}", root: "goal", path: ["id"] },
      { at: "data.a[0]", text: "{{ item }}", root: "item", path: [] },
    ]);
    for (const text of ["{{results.search | first}}", "{{goal.data.}}", "{{item[x]}}", "{{item[0}}", "{{goal.data.a"]) {
      expect(refusal(() => findTemplates({ a: text }, "data"))).toMatchObject({
        code: "PLAN_INVALID",
        details: { path: "data.a" },
      });
    }
    expect(parseTemplate("{{item}}s")).toBeUndefined();
    expect(parseTemplate("{{item}}{{item}}")).toBeUndefined();
  });
});
