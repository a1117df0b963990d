import { processTable } from "../inspect/process-table.ts";
import { watchProcesses } from "../inspect/processes.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { connect } from "./connect.ts";
import { oneShot } from "./one-shot.ts";

/** Rates are of this long. */
const sampleMs = 300;

export const runPs = oneShot(async ({ options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect(io);
  const watch = watchProcesses(client);
  await watch.look(io.signal);
  await Bun.sleep(sampleMs);
  const views = await watch.look(io.signal);
  if (json) {
    io.out(JSON.stringify(views));
    return undefined;
  }
  const colors = colorsForStdout(io);
  for (const line of processTable(views, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors })) io.out(line);
  return undefined;
});
