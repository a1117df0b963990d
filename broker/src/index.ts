export {
  createDirectory,
  type Directory,
  type DirectoryEvent,
  type DirectoryOptions,
  type DownReason,
  type Leased,
  type RegisterOutcome,
  type RenewOutcome,
} from "./directory.ts";
export { type RunningBroker, type StartBrokerOptions, startBroker } from "./run.ts";
export { type Broker, type BrokerOptions, createBroker } from "./server.ts";
