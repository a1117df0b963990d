export {
  Agent,
  type AgentEventOptions,
  type AgentOptions,
  defaultConcurrency,
  defaultDrainMs,
  type Request,
  type RequestHandler,
} from "./agents/agent.ts";
export type { AnyData } from "./agents/any-data.ts";
export type {
  Bus,
  BusSubscription,
  EventHandler,
  EventMessage,
  PublishOptions,
  RequestOptions,
  SubscribeOptions,
} from "./agents/bus.ts";
export { Client, type ClientOptions, type SubmitOptions } from "./agents/client.ts";
export type { PlatformContext } from "./agents/context.ts";
export type { GoalProgress, GoalRun, ResultOptions } from "./agents/goal-run.ts";
export {
  type CompletedPlan,
  type CompleteHandler,
  type Goal,
  type GoalHandler,
  type Plan,
  Planner,
  type PlannerOptions,
  planTask,
} from "./agents/planner.ts";
export type { AgentHandle, AgentsChange, FindOptions, RegistryService } from "./agents/registry-service.ts";
export type { NodeServices } from "./agents/services.ts";
export { Tool } from "./agents/tool.ts";
export { type Task, type TaskHandler, Worker } from "./agents/worker.ts";
export {
  type CallContract,
  type CallDefinition,
  checkData,
  defineEvent,
  defineGoal,
  defineTask,
  defineTool,
  type EventContract,
  type EventDefinition,
  type GoalContract,
  type InputOf,
  type OutputOf,
  type TaskContract,
  type ToolContract,
} from "./contracts.ts";
export {
  type ErrorCode,
  errorCodes,
  type Failure,
  fromFailure,
  isSoormaError,
  NonRetryableError,
  SoormaError,
  type SoormaErrorOptions,
  toFailure,
} from "./errors.ts";
export { type Codec, createCodec } from "./events/codec.ts";
export { currentContext, type HandlingContext } from "./events/context.ts";
export { type Correlation, type Envelope, maxHops, toCloudEvent } from "./events/envelope.ts";
export { isTopic, type Topic, topicOf, topics } from "./events/topics.ts";
export {
  createLogger,
  type LogFields,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  type LogLine,
  levels,
  silentLogger,
} from "./log.ts";
export type { Memory, MemoryEntry, SearchHit } from "./memory/contract.ts";
export { createMesh, type Mesh } from "./mesh/mesh.ts";
export {
  defaultLeaseMs,
  defaultMaxFrameBytes,
  defaultRenewMs,
  MeshNode,
  type NodeOptions,
  type NodeStats,
} from "./mesh/node.ts";
export { createPeerRpc, type PeerRpc, type PeerRpcOptions, type RpcStats } from "./mesh/peer-rpc.ts";
export type { CallOptions, Rpc, RpcCall, RpcPeer } from "./mesh/rpc.ts";
export {
  type PlanChange,
  type PlanEntry,
  type PlanLog,
  type PlannedTask,
  type PlanOrigin,
  type PlanQuery,
  type PlanState,
  type PlanSummary,
  type RetryPolicy,
  type Status,
  statuses,
  type TaskSpec,
  type TaskState,
} from "./plans/log.ts";
export { foldPlan, isTerminal, PlanFold, reducePlan, summarize } from "./plans/reducer.ts";
export { createPluginLoader, type PluginLoader, type PluginLoaderOptions, pluginApi } from "./plugin/loader.ts";
export { createFromPlugin, parsePluginOptions } from "./plugin/options.ts";
export { type InstalledPlugin, listPlugins, type PluginMetadata } from "./plugin/packages.ts";
export { definePlugin, type Plugin, type PluginKind, type PluginKinds } from "./plugin/plugin.ts";
export type {
  Registered,
  RegisterOptions,
  RegistryBackend,
  RegistryDeps,
  RegistrySupports,
  RegistryWatch,
  RenewResult,
} from "./plugin/registry.ts";
export type {
  Address,
  PeerChange,
  Transport,
  TransportDeps,
  TransportHandlers,
  TransportOpenOptions,
  TransportStats,
  TransportSupports,
} from "./plugin/transport.ts";
export { compareAgents, matchesAgent } from "./registry/match.ts";
export {
  type ChangeNote,
  type RegistryStatus,
  registryMethods,
  type WatchAnswer,
  type WatchParams,
} from "./registry/protocol.ts";
export {
  type AgentKind,
  type AgentQuery,
  type AgentRecord,
  agentKinds,
  type DirectoryChange,
  type EventRef,
  type Operation,
  type SchemaQuery,
  type SchemaRecord,
  type SchemaRef,
} from "./registry/records.ts";
export {
  checkImmutable,
  findSchemas,
  isVersion,
  parseSchemaRecord,
  pickSchema,
  type SchemaVersions,
  sameSchema,
  schemaLimits,
} from "./registry/schemas.ts";
export {
  isName,
  parseAgentIds,
  parseAgentQuery,
  parseAgentRecord,
  parseLeaseMs,
  parseSchemaQuery,
  refused,
  registryLimits,
} from "./registry/validate.ts";
export {
  type Runtime,
  randomId,
  sleep,
  systemRuntime,
  type Timer,
  type TimerOptions,
  timeoutSignal,
} from "./runtime.ts";
export { stateCapability } from "./state-caller.ts";
export type { PlanSpec, Tracker } from "./tracker/contract.ts";
