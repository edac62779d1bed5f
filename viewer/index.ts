export { renderPage } from './page.js';
export {
  DEFAULT_LIMIT,
  type RecordOptions,
  recordScenario,
} from './recorder/record.js';
export { packRecording, type Recording, type RecordingHead, unpackRecording } from './recording/format.js';
export { Replay } from './recording/replay.js';
