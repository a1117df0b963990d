export {
  type Difference,
  type Recording,
  type ReplayedInput,
  type ReplayOptions,
  type ReplayReport,
  readRecording,
  replayRecording,
} from "@soorma/core/recording";
export type { MeshCall } from "./activity.ts";
export type { AgentSource, Agents } from "./agent-source.ts";
export { type Answer, delayed, failure, never, Script, type StubCall, sequence } from "./answers.ts";
export type { AnswerOptions, TaskOptions, TestMeshOptions } from "./options.ts";
export { forEachSeed, type SeedsOptions } from "./seeds.ts";
export type { Stub } from "./stub.ts";
export { type TestMesh, testMesh } from "./test-mesh.ts";
