import { hasMethods, isIterating } from "./activity.ts";

/** Lets virtual time run until a promise is settled. */
export type Settle = <T>(promise: Promise<T>, what: string) => Promise<T>;

const services = new Set<PropertyKey>(["bus", "memory", "registry", "tracker", "context"]);

/** Behaves like `given`, but whoever awaits what its methods return lets virtual time run. */
export function driven<T extends object>(given: T, name: string, settle: Settle): T {
  const seen = (result: unknown, what: string): unknown => {
    if (result instanceof Promise) return settle(result, what).then((value) => ofResult(value, what));
    return isIterating(result) ? driven(result, what, settle) : result;
  };
  const ofResult = (value: unknown, what: string): unknown => {
    if (Array.isArray(value)) return value.some(hasMethods) ? value.map((one) => ofResult(one, what)) : value;
    return hasMethods(value) ? driven(value, what, settle) : value;
  };
  return new Proxy(given, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      const what = typeof key === "symbol" ? name : `${name}.${key}`;
      if (typeof value === "function") return (...args: unknown[]) => seen(value.apply(target, args), `${what}()`);
      return services.has(key) && typeof value === "object" && value !== null ? driven(value, what, settle) : value;
    },
  });
}
