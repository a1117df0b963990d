import { formatWithOptions } from "node:util";
import { currentContext, type LogLevel } from "@soorma/core";
import { consoleComponent } from "./log-line.ts";
import { supervisedVariable } from "./supervised.ts";

const methods = { debug: "debug", log: "info", info: "info", warn: "warn", error: "error" } as const satisfies Record<
  string,
  LogLevel
>;
let installed = false;

/**
 * Under `soorma dev`, what an agent's code prints by `console` becomes an entry of the log, with its level and the trace
 * that was being handled. Elsewhere `console` stays as it is.
 */
export function structureConsole(): void {
  if (installed || process.env[supervisedVariable] === undefined) return;
  installed = true;
  const colors = process.env.FORCE_COLOR !== undefined && process.env.FORCE_COLOR !== "0";
  for (const [method, level] of Object.entries(methods)) {
    const stream = level === "warn" || level === "error" ? process.stderr : process.stdout;
    console[method as keyof typeof methods] = (...values: unknown[]) => {
      const traceId = currentContext()?.traceId;
      const entry = {
        time: new Date().toISOString(),
        level,
        component: consoleComponent,
        event: method,
        ...(traceId === undefined ? {} : { traceId }),
        text: formatWithOptions({ colors }, ...values),
      };
      stream.write(`${JSON.stringify(entry)}\n`);
    };
  }
}
