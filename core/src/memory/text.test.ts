import { describe, expect, test } from "bun:test";
import { countTerms, queryTerms, snippetOf, stem, textsOf, tokenize } from "./text.ts";

describe("words", () => {
  test("forms of one English word have one stem", () => {
    const families = [
      "plan plans planned planning",
      "cache caches cached caching",
      "query queries queried querying",
      "index indexes indexed indexing",
      "process processes processed processing",
      "store stores stored storing",
      "agree agrees agreed agreeing",
      "pass passes passing passed",
      "fall falls falling",
      "use uses used using",
      "need needs needed needing",
      "feed feeds feeding",
      "box boxes boxed",
      "quick quickly",
      "happy happily",
      "run runs running",
    ];
    for (const family of families) expect(new Set(family.split(" ").map(stem)).size).toBe(1);
  });

  test("words that only look alike keep stems of their own", () => {
    for (const pair of ["plan planner", "bus buses1", "sing sting", "status state", "string str", "bed be", "red re"]) {
      const [a = "", b = ""] = pair.split(" ");
      expect(stem(a)).not.toBe(stem(b));
    }
  });

  test("case, accents, apostrophes and stop words do not matter", () => {
    expect(queryTerms("Café CAFE café’s")).toEqual(queryTerms("cafe"));
    expect(queryTerms("don't don’t")).toHaveLength(1);
    expect(queryTerms("what is the")).toEqual([]);
    expect(queryTerms("Straße ΑΘΗΝΑ Москва")).toHaveLength(3);
    expect(queryTerms("МОСКВА")).toEqual(queryTerms("москва"));
  });

  test("scripts without spaces are found by character and by pair", () => {
    const terms = queryTerms("東京都");
    expect(terms).toContain("東京");
    expect(terms).toContain("京都");
    expect(terms).toContain("都");
    expect(queryTerms("mesh網絡v2")).toEqual(expect.arrayContaining(["mesh", "網絡", "v2"]));
  });

  test("tokens say where their word stands", () => {
    const text = "The Brokers, they ran!";
    const tokens = Array.from(tokenize(text), (token) => text.slice(token.start, token.end));
    expect(tokens).toEqual(["Brokers", "ran"]);
  });

  test("odd input makes no term that cannot be a key", () => {
    for (const text of ["\ud800 half", "a".repeat(5000), "😀😀😀".repeat(50), "𝕏".repeat(100), "\u0000\u0001", "́́"]) {
      for (const term of countTerms([text]).keys()) {
        expect(term.isWellFormed()).toBe(true);
        expect(term.length).toBeWithin(1, 49);
      }
    }
  });
});

test("all text inside a value is found, and nothing else", () => {
  const value = { a: "one", b: [1, "two", { c: "three", d: null }], e: new Uint8Array([65]), f: true, g: "" };
  expect(textsOf(value)).toEqual(["one", "two", "three"]);
  expect(textsOf("plain")).toEqual(["plain"]);
  expect(textsOf(42)).toEqual([]);
  expect(textsOf(["x".repeat(900_000), "y".repeat(900_000), "z"]).map((text) => text.length)).toEqual([
    900_000, 100_000,
  ]);
});

describe("snippets", () => {
  const filler = "lorem ipsum dolor sit amet ".repeat(40);

  test("show where most of the query's words stand together", () => {
    const text = `broker ${filler} the broker keeps leases of agents ${filler} leases`;
    const snippet = snippetOf(["nothing here", text], new Set(queryTerms("broker lease agent")));
    expect(snippet).toContain("the broker keeps leases of agents");
    expect(snippet).toStartWith("…");
    expect(snippet).toEndWith("…");
    expect(snippet.length).toBeLessThanOrEqual(242);
  });

  test("are the whole text if it is short, in one line", () => {
    expect(snippetOf(["  the\n\tbroker  is gone "], new Set(["broker"]))).toBe("the broker is gone");
  });

  test("begin at the start when nothing is found, and are empty for no text", () => {
    expect(snippetOf([filler], new Set(["zebra"]))).toStartWith("lorem ipsum");
    expect(snippetOf([], new Set(["zebra"]))).toBe("");
  });

  test("never end inside a word", () => {
    const snippet = snippetOf([`${filler}needle ${filler}`], new Set(["needl"]));
    for (const part of snippet.replaceAll("…", "").trim().split(" ")) {
      expect(["lorem", "ipsum", "dolor", "sit", "amet", "needle"]).toContain(part);
    }
  });
});
