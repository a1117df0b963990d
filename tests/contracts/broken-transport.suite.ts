import { transportContract } from "@soorma/core/testing";
import inprocPlugin from "@soorma/transport-inproc";
import { brokenTransports } from "./broken-transports.ts";

// Not a test file by its name: transport-contract.test.ts runs it, and wants it to fail.
const make = brokenTransports[process.env.BROKEN_TRANSPORT ?? ""];
if (!make) throw new Error(`no broken transport is called "${process.env.BROKEN_TRANSPORT}"`);
let addresses = 0;

transportContract(inprocPlugin, {
  make,
  freeAddress: () => `inproc://free-${++addresses}`,
  patienceMs: 100,
});
