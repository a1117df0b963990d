export { Agent, type AgentEventOptions, type AgentOptions } from "./agents/agent.ts";
export type { AnyData } from "./agents/any-data.ts";
export type {
  Bus,
  BusSubscription,
  EventHandler,
  EventMessage,
  Published,
  PublishOptions,
  RequestOptions,
  SubscribeOptions,
} from "./agents/bus.ts";
export { Client, type ClientOptions, type ReplayOptions, type SubmitOptions } from "./agents/client.ts";
export type { PlatformContext } from "./agents/context.ts";
export type { GoalProgress, GoalRun, ResultOptions } from "./agents/goal-run.ts";
export { type PlanTaskOptions, planTask, type Templated } from "./agents/plan-task.ts";
export { Planner } from "./agents/planner.ts";
export type {
  CompletedPlan,
  CompleteHandler,
  Goal,
  GoalHandler,
  NextTasks,
  Plan,
  PlannerOptions,
  TaskEnd,
  TransitionHandler,
} from "./agents/planner-types.ts";
export type {
  AgentHandle,
  AgentsChange,
  EventReceivers,
  FindOptions,
  RegistryService,
} from "./agents/registry-service.ts";
export type { Request, RequestHandler } from "./agents/request.ts";
export type { DelegatedTask, DelegateOptions, Task, WaitForEventOptions, WaitOptions } from "./agents/task.ts";
export { Tool } from "./agents/tool.ts";
export { type TaskHandler, Worker, type WorkerOptions } from "./agents/worker.ts";
export {
  type CallContract,
  type CallDefinition,
  checkData,
  defineEvent,
  defineGoal,
  defineTask,
  defineTool,
  developmentVersions,
  type EventContract,
  type EventDefinition,
  type GoalContract,
  type InputOf,
  type OutputOf,
  releasedVersions,
  type SchemaVersioning,
  type TaskContract,
  type ToolContract,
} from "./contracts.ts";
export {
  type ErrorCode,
  errorCodes,
  type Failure,
  isSoormaError,
  NonRetryableError,
  SoormaError,
  type SoormaErrorOptions,
} from "./errors.ts";
export { currentContext, type HandlingContext } from "./events/context.ts";
export { type Envelope, toCloudEvent } from "./events/envelope.ts";
export { type Topic, topicOf, topics } from "./events/topics.ts";
export type { EventWhere, WhereValue } from "./events/where.ts";
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
export type {
  DeleteOptions,
  ListOptions,
  Memory,
  MemoryEntry,
  SearchHit,
  SearchOptions,
  StoreOptions,
} from "./memory/contract.ts";
export { createMesh, type Mesh } from "./mesh/mesh.ts";
export type { NodeOptions } from "./mesh/node.ts";
export type { AgentStats, NodeAnswer, NodeStats, ProcessUsage } from "./mesh/node-stats.ts";
export type { HandlerRun, NodeObserver } from "./mesh/observer.ts";
export type { CallOptions, Rpc, RpcCall, RpcPeer } from "./mesh/rpc.ts";
export type { Comparison } from "./plans/conditions.ts";
export {
  type ForEachSpec,
  type PlanBudget,
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
  type UndoSpec,
  type WaitSpec,
  type WaitState,
} from "./plans/log.ts";
export {
  definePlan,
  type MachineDefinition,
  type MachineScope,
  type MachineSpec,
  type MachineTask,
  type StateDefinition,
  type Transition,
  type Transitions,
  type When,
} from "./plans/machine.ts";
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
  type Runtime,
  randomId,
  sleep,
  systemRuntime,
  systemUsage,
  type Timer,
  type TimerOptions,
  timeoutSignal,
} from "./runtime.ts";
export type {
  AgentMetrics,
  DeadLetter,
  DeadLetterQuery,
  PlanQueries,
  PlanSpec,
  TaskQuery,
  TaskSummary,
  Tracker,
} from "./tracker/contract.ts";
