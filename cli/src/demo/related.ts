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

const relatives = new Map<string, readonly string[]>();
for (const group of groups) {
  const terms = queryTerms(group);
  for (const term of terms) {
    if (!relatives.has(term))
      relatives.set(
        term,
        terms.filter((other) => other !== term),
      );
  }
}

/** Terms that may stand for a term, itself not among them. */
export function relatedTo(term: string): readonly string[] {
  return relatives.get(term) ?? [];
}
