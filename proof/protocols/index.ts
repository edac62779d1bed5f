import {
  breakpointRound,
  breakpointWithoutFixUp,
  byteByByte,
  oneStore,
  server2003,
  tailThenOpcode,
} from './direct-jump.js';
import {
  codeSlotAfterEntry,
  dataSlotAfterEntry,
  entryInHalves,
  noRendezvous,
  noSerialisation,
  paddingAfterEntry,
  paddingRestoredFirst,
  paddingRestoredUnderfoot,
  serialisedOnlyAtTheEnd,
  unmappedTooEarly,
} from './spoiled.js';
import { arm64Rendezvous, windows, windowsCurrent, windowsEarlier, windowsRetpoline } from './windows.js';
import type { WriteProtocol } from './write-protocol.js';

export {
  breakpointRound,
  breakpointWithoutFixUp,
  byteByByte,
  oneStore,
  server2003,
  tailThenOpcode,
} from './direct-jump.js';
export * from './spoiled.js';
export * from './windows.js';
export type { BreakpointHandler, WriteProtocol } from './write-protocol.js';

/** Every way to change code that is known here: the real ones, then the negative controls. */
export const PROTOCOLS: readonly WriteProtocol[] = [
  windows,
  windowsCurrent,
  windowsEarlier,
  windowsRetpoline,
  arm64Rendezvous,
  server2003,
  byteByByte,
  tailThenOpcode,
  oneStore,
  breakpointRound,
  breakpointWithoutFixUp,
  entryInHalves,
  paddingAfterEntry,
  dataSlotAfterEntry,
  codeSlotAfterEntry,
  noSerialisation,
  serialisedOnlyAtTheEnd,
  noRendezvous,
  paddingRestoredFirst,
  paddingRestoredUnderfoot,
  unmappedTooEarly,
];

export function protocolNamed(name: string): WriteProtocol | undefined {
  return PROTOCOLS.find((protocol) => protocol.name === name);
}
