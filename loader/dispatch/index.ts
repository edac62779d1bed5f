export { dispatchExit } from './dispatcher.js';
export { cSpecificHandler } from './exceptions/c-specific-handler.js';
export { unwindChain } from './exceptions/chain-dispatch.js';
export { EXCEPTION_CODES, EXCEPTION_NONCONTINUABLE } from './exceptions/codes.js';
export {
  applyContext,
  captureContext,
  encodeContext,
  readContext,
  readExceptionRecord,
  writeContext,
} from './exceptions/context.js';
export { exceptHandler3, exceptHandler4 } from './exceptions/except-handler.js';
export { writeGuestFrame } from './exceptions/guest-frame.js';
export { raiseInCaller } from './exceptions/raise.js';
export { unwindByTables } from './exceptions/table-dispatch.js';
export { crashOfRaise, endUnhandled } from './exceptions/unhandled.js';
export { failFast, fastFailName } from './fail-fast.js';
export type { ServiceCall } from './service-call.js';
export type { ServiceDispatcher, ServiceOwner } from './service-owner.js';
export {
  type ArgumentType,
  type ArgumentTypes,
  type CallingConvention,
  calleePops,
  is64,
  type PlacedExport,
  type SimulatedExport,
  type SimulatedModule,
  SLOTS_OF_64_BITS,
} from './simulated-export.js';
export { walkStack } from './stack-walk.js';
export { stopSystem } from './stop-system.js';
