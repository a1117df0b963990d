import { version } from "../version.ts";
import type { RunCommand } from "./spec.ts";

export const runVersion: RunCommand = async ({ options, io }) => {
  io.out(versionText(options.json === true));
  return undefined;
};

export function versionText(json: boolean): string {
  const facts = { soorma: version, bun: Bun.version, platform: `${process.platform}-${process.arch}` };
  return json ? JSON.stringify(facts) : `soorma ${facts.soorma} (Bun ${facts.bun}, ${facts.platform})`;
}
