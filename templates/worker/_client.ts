import { Client } from "soorma";

// An app that is no agent: submits a goal, follows its progress, prints the answer. Needs `bun run dev` beside it.
await using client = await Client.connect();
const text = process.argv[2] ?? "to be or not to be";

const run = await client.submitGoal("{{goal}}", { text });
for await (const progress of run.progress()) console.error(`${Math.round(progress.fraction * 100)} %`);
console.log(await run.result());
