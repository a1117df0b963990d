import { defineGoal, defineTask, type Static, Type } from "soorma";

const Text = Type.String({ minLength: 1 });

export const Item = Type.Object({ sku: Text, quantity: Type.Integer({ minimum: 1 }) });
export const Reservation = Type.Object({ sku: Text, amount: Type.Number() });
export const Payment = Type.Object({ receipt: Text, amount: Type.Number() });

// What the goal and its tasks get and result in: typed here, checked by whoever sends and by whoever gets them.
export const placeOrder = defineGoal({
  name: "{{goal}}",
  input: Type.Object({ items: Type.Array(Item, { minItems: 1 }), card: Text, address: Text }),
  output: Type.Object({ paid: Type.Number(), parcel: Text, invoice: Text }),
});
export const reserve = defineTask({ name: "reserve", input: Item, output: Reservation });
export const charge = defineTask({ name: "charge", input: Type.Object({ card: Text }), output: Payment });
export const ship = defineTask({ name: "ship", input: Type.Object({ address: Text }), output: Text });
export const invoice = defineTask({ name: "invoice", input: Type.Object({ card: Text }), output: Text });

const prices: Record<string, number> = { tea: 4, honey: 9, cup: 12 };

/** What so many of an item cost; `undefined` for what is not sold here. */
export function priceOf({ sku, quantity }: Static<typeof Item>): number | undefined {
  const price = prices[sku];
  return price === undefined ? undefined : price * quantity;
}
