import { Planner } from "soorma";
import { placeOrder } from "../order.ts";

const planner = new Planner({ name: "{{name}}-planner", description: "{{description}}" });

planner.onGoal(placeOrder, ({ data: { card, address } }) => ({
  tasks: [
    // Fan-out: a task for each item, all at the same time. `undo` takes a task back if the order fails later on.
    {
      name: "reserve",
      assignedTo: "reserve",
      forEach: { over: "{{goal.data.items}}" },
      undo: { assignedTo: "release" },
    },
    // Fan-in: begins when every item is reserved.
    { name: "charge", assignedTo: "charge", data: { card }, dependsOn: ["reserve"], undo: { assignedTo: "refund" } },
    // And out again: both at the same time. The order is complete when both are done.
    { name: "ship", assignedTo: "ship", data: { address }, dependsOn: ["charge"], timeoutMs: 60_000 },
    { name: "invoice", assignedTo: "invoice", data: { card }, dependsOn: ["charge"] },
  ],
}));

// The goal's answer, made of the tasks' results.
planner.onComplete(({ results }) => ({
  paid: results.charge.amount,
  parcel: results.ship,
  invoice: results.invoice,
}));

await planner.run();
