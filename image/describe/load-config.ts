import type { DynamicRelocation } from '../dynamic-relocations.js';
import type { GuardEntry } from '../guard.js';
import type { PeImage } from '../image.js';
import { loadConfigStruct } from '../load-config.js';
import { flagNames } from '../text.js';
import { IMAGE_GUARD, IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK } from '../winnt.js';
import { hexOf } from './parts.js';

/** The fields that the image's load configuration is long enough to have, by their names in winnt.h. */
export function describeLoadConfig(image: PeImage) {
  const { loadConfig } = image;
  if (loadConfig === undefined) return null;
  const fields: Record<string, number | bigint> = {};
  for (const { name } of loadConfigStruct(image.pointerSize).fields) {
    const field = name as Parameters<typeof loadConfig.has>[0];
    if (loadConfig.has(field)) fields[field] = loadConfig[field];
  }
  return {
    rva: loadConfig.rva,
    directorySize: loadConfig.directorySize,
    ...fields,
    guardFlagsNames: flagNames(loadConfig.guardFlags & ~IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_MASK, IMAGE_GUARD),
  };
}

export function describeGuard(image: PeImage, all: boolean) {
  const { guard } = image;
  const table = (entries: readonly GuardEntry[]) => ({
    count: entries.length,
    ...(all ? { entries: entries.map(({ extra, ...entry }) => ({ ...entry, extra: hexOf(extra) })) } : {}),
  });
  return {
    extraBytes: guard.extraBytes,
    functions: table(guard.functions),
    addressTakenIatEntries: table(guard.addressTakenIatEntries),
    longJumpTargets: table(guard.longJumpTargets),
    ehContinuations: table(guard.ehContinuations),
    seHandlers: { count: guard.seHandlers.length, ...(all ? { entries: guard.seHandlers } : {}) },
  };
}

export function describeDynamicRelocations(image: PeImage, all: boolean) {
  return image.dynamicRelocations.map(
    ({ symbol, name, data, fixups, functionOverrides }: DynamicRelocation) => ({
      symbol,
      ...(name === undefined ? {} : { name }),
      size: data.length,
      fixups: fixups.length,
      functionOverrides: functionOverrides.length,
      ...(all
        ? {
            fixupEntries: fixups.map((fixup) =>
              fixup.kind === 'arm64x' && fixup.change === 'value'
                ? { ...fixup, value: hexOf(fixup.value) }
                : fixup,
            ),
            functionOverrideEntries: functionOverrides,
          }
        : {}),
    }),
  );
}
