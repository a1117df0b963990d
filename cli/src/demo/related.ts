import { queryTerms } from "@soorma/core/text";

/** Words people and documents use for one another, a group a line. Without a model this is all that is known of meaning. */
const groups = [
  "die dies dead death kill killed crash crashed gone away down",
  "find found discover discovers discovery lookup",
  "lose lost loss dropped",
  "install installed installation setup installing",
  "start started starts begin run running launch",
  "stop stopped end ended shutdown quit",
  "use used usage using",
  "fail failed fails failure error",
  "fast speed quick performance throughput latency",
  "delete remove removed erase",
  "talk communicate connect connected speak",
  "requirement requirements require required prerequisite prerequisites",
  "limit limits limitation limitations maximum",
  "configure configuration configured option options setting settings",
  "test tests testing tested",
  "deploy deployment deployed ship",
  "license licence",
];

interface Related {
  readonly words: readonly string[];
  readonly terms: readonly string[];
}

const nothing: Related = { words: [], terms: [] };
const relatives = new Map<string, Related>();
for (const group of groups) {
  const words = new Map(group.split(" ").flatMap((word) => queryTerms(word).map((term) => [term, word] as const)));
  for (const term of words.keys()) {
    const others = [...words].filter(([other]) => other !== term);
    relatives.set(term, { terms: others.map(([other]) => other), words: others.map(([, word]) => word) });
  }
}

/** What may stand for a term, itself not among it: as words, and as terms. */
export function relatedTo(term: string): Related {
  return relatives.get(term) ?? nothing;
}
