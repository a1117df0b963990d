// The same steps with Restate: a server of its own, and its SDK. `bun restate.ts <serve|ask> <given>`
import { type Context, serve, service } from "@restatedev/restate-sdk";
import { connect } from "@restatedev/restate-sdk-clients";
import { given, measure, ready, stepData } from "./measure.ts";

const told = given();
const { role, kind } = told;
const [ingress = 0, endpoint = 0] = told.ports;

type Data = typeof stepData;

const worker = service({
  name: "worker",
  handlers: { step: async (_context: Context, data: Data): Promise<Data> => data },
});
const plan = service({
  name: "plan",
  handlers: {
    /** As `task.step`: within one handler. */
    steps: async (context: Context, steps: number): Promise<Data> => {
      let last: Data = { ...stepData };
      for (let n = 0; n < steps; n++) last = await context.run(`s${n}`, async () => ({ ...last, n }));
      return last;
    },
    /** As a plan's tasks: each done by a service. */
    tasks: async (context: Context, steps: number): Promise<Data> => {
      let last: Data = { ...stepData };
      for (let n = 0; n < steps; n++) last = await context.serviceClient(worker).step({ ...stepData, n });
      return last;
    },
  },
});

if (role === "serve") {
  await serve({ services: [plan, worker], port: endpoint });
  ready();
} else {
  const client = connect({ url: `http://127.0.0.1:${ingress}` }).serviceClient(plan);
  await measure(told, (steps) => client[kind](steps));
  process.exit(0);
}
