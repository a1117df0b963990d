import { printAnswer } from "../../ui/answer.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { entryOf } from "./entry.ts";

export const runGet = oneShot(async ({ args: [key = ""], options, io }) => {
  const { tenant, json = false } = options as { readonly tenant?: string; readonly json?: boolean };
  await using client = await connect(io, { tenantId: tenant });
  const entry = await entryOf(client, key);
  if (json) io.out(JSON.stringify(entry));
  else printAnswer(entry.value, io);
  return undefined;
});
