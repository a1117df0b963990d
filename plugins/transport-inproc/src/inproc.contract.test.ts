import { systemRuntime } from "@soorma/core";
import { transportContract } from "@soorma/core/testing";
import inprocPlugin, { createHub, inproc } from "./index.ts";

const hub = createHub({ runtime: systemRuntime });
let addresses = 0;

transportContract(inprocPlugin, {
  make: () => inproc(hub),
  freeAddress: () => `inproc://free-${++addresses}`,
});
