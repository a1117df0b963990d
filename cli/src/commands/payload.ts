import type { Client, SchemaRef } from "@soorma/core";
import { isSoormaError } from "@soorma/core/errors";
import { typeText } from "../types/schema-type.ts";
import { CommandError } from "../ui/errors.ts";
import { oneLine } from "../ui/text.ts";

/** An error over data that did not match its schema, with the type that `what` takes as the hint; any other as it is. */
export async function withType(
  error: unknown,
  client: Client,
  what: string,
  input: SchemaRef | undefined,
): Promise<unknown> {
  if (!isSoormaError(error, "PAYLOAD_INVALID") || !error.message.startsWith("data of") || !input) return error;
  const [schema] = await client.registry.querySchemas({ name: input.name, version: input.version });
  if (!schema) return error;
  return new CommandError(error.code, error.message, {
    hint: `${what} takes ${oneLine(typeText(schema.schema))}`,
    cause: error,
    details: error.details,
  });
}
