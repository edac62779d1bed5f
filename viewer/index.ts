export { renderPage } from './page.js';
export {
  DEFAULT_LIMIT,
  type RecordOptions,
  recordScenario,
} from './recorder/record.js';
export type { Entry, EntryKind, MemoryChange, Page, PageChange, RegisterChange } from './recording/entry.js';
export {
  type CodeFacts,
  type DomainFacts,
  type EventFacts,
  type ImageFacts,
  type PatchesChange,
  type ProcessorFacts,
  packRecording,
  type RecordedArchitecture,
  type Recording,
  type RecordingHead,
  type ServiceFacts,
  type SliceFacts,
  type SpaceFacts,
  type TableFacts,
  type ThreadFacts,
  type TrampolineFacts,
  type UndoChange,
  unpackRecording,
} from './recording/format.js';
export { Replay } from './recording/replay.js';
export { themeStyles } from './styles/theme.js';
