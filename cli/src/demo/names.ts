/** What the tasks of a plan are assigned to: a kind of work each. */
export const kinds = {
  indexing: "document_indexing",
  searching: "passage_search",
  answering: "answer_writing",
} as const;
