/** Recordings of what the agents of a mesh send each other: written, read, sent again, and played back by stubs. */

export type { Difference } from "./difference.ts";
export type {
  RecordedAgent,
  RecordedAnswer,
  RecordedCancel,
  RecordedDelegation,
  RecordedDelivery,
  RecordedEvent,
  RecordedLoss,
  RecordedMessage,
  RecordedOrder,
  RecordedOutcome,
  RecordedPresence,
  RecordedProgress,
  RecordedRequest,
  RecordedTask,
  RecordingEnd,
  RecordingHeader,
  RecordingLine,
} from "./format.ts";
export { inputsOf, type RecordedInput } from "./inputs.ts";
export { formatLine, parseRecording, type Recording, readRecording } from "./lines.ts";
export { Recorder, type RecorderOptions, type RecorderStats } from "./recorder.ts";
export { compileRedaction, redactedText } from "./redact.ts";
export { type ReplayedInput, type ReplayOptions, type ReplayReport, replayRecording, selectInputs } from "./replay.ts";
export { type RecordedStub, recordedStubs, type StubOptions } from "./stubs.ts";
