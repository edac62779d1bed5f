import { ImageError } from '../error.js';
import type { PeImage } from '../image.js';
import type { RelocationType } from '../relocation-list.js';
import { hex } from '../text.js';
import type { MachineName } from '../winnt.js';
import { originalBytes } from './coldpatch.js';
import { FIXUP_SIZE, fixupTypeName, type Hotp1, moduleIdMethodName, VALIDATION_HOOK_ONLY } from './format.js';
import { isModule, isSupportedMethod } from './module-id.js';
import { ownerOf } from './places.js';
import { readHotp1 } from './read.js';
import { type Hotp1Finding, type Hotp1RuleId, hotp1Finding, hotp1Rule } from './rules.js';
import { validateHooks } from './validate-hooks.js';

/**
 * Checks a hotpatch of the first generation by every rule that needs no running system; with `target` also whether it
 * fits the image that it is for. No error among the findings means that the engine would go on.
 */
export function validateHotp1(patch: PeImage, target?: PeImage): Hotp1Finding[] {
  try {
    const hotp1 = readHotp1(patch);
    if (hotp1 === undefined) return [hotp1Finding('hotp1.absent', 'section table', 'there is none')];
    return [
      ...validateImages(patch, target),
      ...validateIdentity(patch, hotp1, target),
      ...validateFixups(patch, hotp1),
      ...validateValidations(patch, hotp1, target),
      ...validateHooks(patch, hotp1, target),
    ];
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    return [brokenFinding(error)];
  }
}

function brokenFinding({ rule, place, reason }: ImageError): Hotp1Finding {
  const known = isHotp1Rule(rule) ? rule : 'hotp1.bounds';
  const { status } = hotp1Rule(known);
  return { rule: known, severity: 'error', place, status, message: reason };
}

const isHotp1Rule = (rule: string): rule is Hotp1RuleId =>
  /^(hotp1|targetName|moduleId|fixup|validation|hook|target)\./.test(rule);

/** Of Itanium the header has hook types, and no machine here. */
const HAS_HOTP1: Readonly<Record<MachineName, boolean>> = {
  UNKNOWN: false,
  I386: true,
  ARMNT: false,
  AMD64: true,
  ARM64EC: false,
  ARM64X: false,
  ARM64: false,
};

function validateImages(patch: PeImage, target: PeImage | undefined): Hotp1Finding[] {
  const findings: Hotp1Finding[] = [];
  if (!HAS_HOTP1[patch.machine])
    findings.push(hotp1Finding('hotp1.machine', 'file header +0x0', patch.machine));
  if (target !== undefined && target.fileHeader.machine !== patch.fileHeader.machine)
    findings.push(
      hotp1Finding('target.machine', 'file header +0x0', `${patch.machine}, the target ${target.machine}`),
    );
  return findings;
}

function validateIdentity(patch: PeImage, hotp1: Hotp1, target: PeImage | undefined): Hotp1Finding[] {
  const findings: Hotp1Finding[] = [];
  const { targetName, moduleIdMethod } = hotp1;
  if (/[\\/:*?"<>|]/.test(targetName))
    findings.push(hotp1Finding('targetName.text', '.hotp1 +0x30', `'${targetName}'`));
  const method = moduleIdMethodName(moduleIdMethod);
  const place = '.hotp1 +0x34';
  if (method === undefined) return [...findings, hotp1Finding('moduleId.method', place, `${moduleIdMethod}`)];
  if (!isSupportedMethod(method)) return [...findings, hotp1Finding('moduleId.unsupported', place, method)];
  if (method === 'None') findings.push(hotp1Finding('moduleId.none', place, targetName));
  if (target === undefined) return findings;
  const name = fileNameOf(target);
  if (name !== undefined && name.toLowerCase() !== targetName.toLowerCase())
    findings.push(hotp1Finding('target.name', '.hotp1 +0x30', `it is for ${targetName}, this is ${name}`));
  if (!isModule(target, hotp1))
    findings.push(
      hotp1Finding('target.moduleId', '.hotp1 +0x38', `${method} of this ${targetName} is another`),
    );
  if (patch.imports.some(({ module }) => module.toLowerCase() === targetName.toLowerCase()))
    findings.push(hotp1Finding('target.importsTarget', 'import directory', targetName));
  return findings;
}

function fileNameOf({ file, exports }: PeImage): string | undefined {
  return file?.replace(/^.*[\\/]/, '') ?? exports?.name;
}

function validateFixups(patch: PeImage, { fixupRegions }: Hotp1): Hotp1Finding[] {
  const findings: Hotp1Finding[] = [];
  const { sizeOfImage, sizeOfHeaders } = patch.optionalHeader;
  const ranges: { start: number; end: number }[] = [];
  for (const [index, { rva: page, fixups }] of fixupRegions.entries()) {
    if (page === 0 || page >= sizeOfImage)
      findings.push(hotp1Finding('fixup.region', `fixup region ${index}`, hex(page)));
    for (const [i, { rva, type }] of fixups.entries()) {
      const place = `fixup region ${index}, fixup ${i}`;
      const report = (rule: Hotp1RuleId, detail: string) =>
        void findings.push(hotp1Finding(rule, place, detail, rva));
      const name = fixupTypeName(type);
      if (name === undefined || name === 'None') {
        report('fixup.type', `${type}`);
        continue;
      }
      if (patch.pointerSize === 8 ? name === 'VA32' : name === 'VA64' || name === 'PC64')
        report('fixup.width', name);
      const end = rva + FIXUP_SIZE[name];
      if (rva < sizeOfHeaders || end > sizeOfImage) report('fixup.location', hex(rva));
      else if (patch.relocationsIn(rva, end - rva).length > 0) report('fixup.relocation', hex(rva));
      if (ranges.some((other) => rva < other.end && other.start < end)) report('fixup.overlap', hex(rva));
      ranges.push({ start: rva, end });
    }
  }
  return findings;
}

function validateValidations(patch: PeImage, hotp1: Hotp1, target: PeImage | undefined): Hotp1Finding[] {
  return hotp1.validations.flatMap(({ sourceRva, targetRva, byteCount, optionFlags }, index) => {
    const findings: Hotp1Finding[] = [];
    const report = (rule: Hotp1RuleId, detail: string) =>
      void findings.push(hotp1Finding(rule, `validation ${index}`, detail, targetRva));
    if ((optionFlags & ~VALIDATION_HOOK_ONLY) !== 0) report('validation.flags', hex(optionFlags));
    if (byteCount === 0) report('validation.empty', 'ByteCount is 0');
    const isIn = (image: PeImage, rva: number) => rva + byteCount <= image.optionalHeader.sizeOfImage;
    if (!isIn(patch, sourceRva)) report('validation.source', `${byteCount} bytes at ${hex(sourceRva)}`);
    if (target === undefined || ownerOf(hotp1, index) === null) return findings;
    if (!isIn(target, targetRva)) report('validation.target', `${byteCount} bytes at ${hex(targetRva)}`);
    if (findings.some(({ severity }) => severity === 'error')) return findings;
    const relocation = target
      .relocationsIn(targetRva, byteCount)
      .find(({ rva, type }) => rva + unchangedBy(type) < targetRva + byteCount);
    if (relocation !== undefined) report('validation.relocation', `at RVA ${hex(relocation.rva)}`);
    const found = originalBytes(target, targetRva, target.read(targetRva, byteCount));
    const difference = firstDifference(patch.read(sourceRva, byteCount), found);
    if (difference !== undefined)
      report('validation.bytes', `they differ at RVA ${hex(targetRva + difference)}`);
    return findings;
  });
}

/** Images move by multiples of 64 KB: the low two bytes of an address stay. */
function unchangedBy(type: RelocationType): number {
  return type === 'HIGHLOW' || type === 'DIR64' ? 2 : 0;
}

/** Index of the first byte that differs. */
export function firstDifference(expected: Uint8Array, found: Uint8Array): number | undefined {
  const index = expected.findIndex((byte, i) => byte !== found[i]);
  return index < 0 ? undefined : index;
}
