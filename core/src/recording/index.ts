/** Recordings of what the agents of a mesh send each other: written, read, sent again, and played back by stubs. */
export type {
  RecordedAgent,
  RecordedAnswer,
  RecordedCancel,
  RecordedDelegation,
  RecordedDelivery,
  RecordedEvent,
  RecordedLoss,
  RecordedMessage,
  RecordedOutcome,
  RecordedPresence,
  RecordedProgress,
  RecordedRequest,
  RecordedTask,
  RecordingEnd,
  RecordingHeader,
  RecordingLine,
} from "./format.ts";
export { formatLine, parseRecording, type Recording } from "./lines.ts";
export { Recorder, type RecorderOptions, type RecorderStats } from "./recorder.ts";
export { compileRedaction, redactedText } from "./redact.ts";
