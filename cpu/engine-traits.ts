import type { EngineKind } from './unicorn/engine.js';

/** What processors of one engine kind are by their manuals, whatever code they run. */
interface EngineTraits {
  /** Do processors see stores into code without being told (Intel SDM vol. 3, "Self-Modifying Code")? */
  readonly snoopsStoresIntoCode: boolean;
  /** Are there segment descriptors in memory? */
  readonly hasDescriptorTables: boolean;
  /** Must bits 48 to 63 of an address repeat bit 47? */
  readonly hasNoncanonical: boolean;
}

export const ENGINE_TRAITS: Readonly<Record<EngineKind, EngineTraits>> = {
  'x86-64': { snoopsStoresIntoCode: true, hasDescriptorTables: true, hasNoncanonical: true },
  arm64: { snoopsStoresIntoCode: false, hasDescriptorTables: false, hasNoncanonical: false },
};
