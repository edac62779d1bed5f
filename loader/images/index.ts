export { apiSetHost } from './api-set.js';
export { type BoundImport, findExport, resolveImport, type WantedExport } from './bind-imports.js';
export { ControlFlowGuard, type GuardState, isGuarded } from './control-flow-guard.js';
export { type DelayLoadOwner, findDelayImport } from './delay-load.js';
export type { DomainFittings } from './domain-fittings.js';
export { type FunctionEntry, lookupFunctionEntry } from './function-entry.js';
export { HotPatchAddressTable, HPAT_PAIR_SIZE, type HpatLayout, hotPatchReserveSize } from './hpat.js';
export { giveDomain, ImageDomain, type ImageKind } from './image-domain.js';
export { ImageDomains } from './image-domains.js';
export { threadNotifications } from './image-initialization.js';
export { type ImageIdentity, type ImageInstance, instancesOf } from './image-instances.js';
export { isProgram } from './image-kind.js';
export {
  assertLoadable,
  assertLoading,
  fileName,
  ImageLoader,
  LOAD_OPTIONS,
  type LoadOptions,
  refuseOtherMachine,
} from './image-loader.js';
export { ImageSection, ImageSections } from './image-section.js';
export { GUARD_FUNCTIONS } from './image-security.js';
export { insideInstruction } from './instruction-boundary.js';
export { LdrTable } from './ldr-table.js';
export { LoadImageRoutines } from './load-image-routines.js';
export {
  addReference,
  changeHotPatchState,
  changeImage,
  type LdrHotPatchState,
  LoadedImage,
  type LoadedImageFields,
  type LoadReason,
} from './loaded-image.js';
export { LoadedModuleList } from './loaded-module-list.js';
export type { View } from './map-image.js';
export type { ExportSource, GuestPlace, ImageEnvironment, ImageProcess, ImageSession } from './owners.js';
export { KSCP_ROUTINES, RETPOLINE_ROUTINES, SCP_ROUTINES } from './retpoline.js';
export { type SystemFile, SystemFiles } from './system-files.js';
