/** `bun process.ts <setting> <role> <who> <host>`: one process of a chaos mesh. Prints a line when it is ready. */

import { isSoormaError } from "@soorma/core";
import { type HostName, hostNames } from "./network.ts";
import { tryAgain } from "./processes.ts";
import { brokerRole } from "./roles/broker.ts";
import { clientRole } from "./roles/client.ts";
import { plannerRole } from "./roles/planner.ts";
import { stateRole } from "./roles/state.ts";
import { toolRole } from "./roles/tool.ts";
import { workerRole } from "./roles/worker.ts";
import { readSetting } from "./setting.ts";

const roles = {
  broker: brokerRole,
  state: stateRole,
  planner: plannerRole,
  worker: workerRole,
  tool: toolRole,
  client: clientRole,
};

const [settingPath = "", role = "", who = "", host = ""] = process.argv.slice(2);
const start = roles[role as keyof typeof roles];
try {
  const stop = await start({
    setting: readSetting(settingPath),
    who,
    host: hostNames.find((name) => name === host) ?? ("home" satisfies HostName),
  });
  // The process ends by itself once everything is closed; what keeps it alive longer is found by the run.
  process.once("SIGTERM", () => void stop());
  process.stdout.write(`${process.pid}\n`);
} catch (error) {
  if (!isSoormaError(error) || !error.retryable) throw error;
  console.error(`could not start: ${error.code}: ${error.message}`);
  process.exit(tryAgain);
}
