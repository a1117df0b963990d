/** What a registry has to do the same way as every other one: match, check, choose versions, and the broker's protocol. */
export { compareAgents, matchesAgent } from "./match.ts";
export {
  type ChangeNote,
  type RegistryStatus,
  registryMethods,
  type WatchAnswer,
  type WatchParams,
} from "./protocol.ts";
export {
  checkImmutable,
  findSchemas,
  parseSchemaRecord,
  pickSchema,
  type SchemaVersions,
  schemaLimits,
} from "./schemas.ts";
export {
  parseAgentIds,
  parseAgentQuery,
  parseAgentRecord,
  parseLeaseMs,
  parseSchemaQuery,
  refused,
  registryLimits,
} from "./validate.ts";
