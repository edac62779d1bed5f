import type { PeImage } from '../image.js';
import type { SymbolTable } from '../symbols/symbol-table.js';
import { hex, hexBytes } from '../text.js';
import {
  fixupTypeName,
  HOOK_OPTION,
  HOOK_TYPE,
  type Hotp1,
  type Hotp1Hook,
  hookSize,
  hookTypeName,
  moduleIdMethodName,
  shortJumpTarget,
  VALIDATION_HOOK_ONLY,
} from './format.js';
import { hookPlace } from './hook-places.js';
import { moduleIdText } from './module-id.js';
import { readHotp1 } from './read.js';
import { validateHotp1 } from './validate.js';

/** What {@link describeHotp1} returns. */
export type Hotp1Description = ReturnType<typeof describeHotp1>;

/** The `.hotp1` section as one plain object, with names and findings; null when the image has none. */
export function describeHotp1(image: PeImage, symbols: SymbolTable | undefined) {
  const hotp1 = readHotp1(image);
  if (hotp1 === undefined) return null;
  const { validations, moduleIdMethod } = hotp1;
  return {
    generation: '2003' as const,
    rva: hotp1.rva,
    version: hotp1.version,
    targetName: hotp1.targetName,
    moduleIdMethod,
    moduleIdMethodName: moduleIdMethodName(moduleIdMethod),
    moduleIdValue: hexBytes(hotp1.moduleIdValue),
    moduleId: moduleIdText(hotp1),
    origHotpBaseAddress: hotp1.origHotpBaseAddress,
    origTargetBaseAddress: hotp1.origTargetBaseAddress,
    fixupRegions: hotp1.fixupRegions.map(({ rva, fixups }) => ({
      rva,
      fixups: fixups.map((fixup) => ({ rva: fixup.rva, type: fixupTypeName(fixup.type) ?? `${fixup.type}` })),
    })),
    validations: validations.map((validation) => ({
      ...validation,
      hookOnly: (validation.optionFlags & VALIDATION_HOOK_ONLY) !== 0,
    })),
    hooks: hotp1.hooks.map((hook) => describeHook(hotp1, hook, symbols)),
    findings: validateHotp1(image),
  };
}

function describeHook(hotp1: Hotp1, hook: Hotp1Hook, symbols: SymbolTable | undefined) {
  const { type, options, hookRva, hotpRva, validationRva } = hook;
  const found = symbols?.byAddress(hotpRva);
  const name = hookTypeName(type) ?? `${type}`;
  return {
    type: name,
    ...(type === HOOK_TYPE.None ? {} : { place: hookPlace(hotp1, hook) }),
    options,
    within2GB: (options & HOOK_OPTION.WITHIN_2GB) !== 0,
    size: hookSize(hook) ?? 0,
    hookRva,
    hotpRva,
    validationRva,
    ...(type === HOOK_TYPE.X86_JMP2B ? { leadsTo: shortJumpTarget(hook) } : {}),
    ...(found === undefined || type === HOOK_TYPE.X86_JMP2B
      ? {}
      : { symbol: found.offset === 0 ? found.symbol.name : `${found.symbol.name}+${hex(found.offset)}` }),
  };
}
