import { ImageError } from '../error.js';
import { describeHotp1 } from '../hotp1/describe.js';
import type { HotPatchTable } from '../hotpatch/format.js';
import { validateHotPatch } from '../hotpatch/validate.js';
import type { PeImage } from '../image.js';
import type { ImageRule } from '../rules.js';
import type { SymbolTable } from '../symbols/symbol-table.js';
import { flagNames } from '../text.js';
import {
  DIRECTORY_NAMES,
  IMAGE_DLLCHARACTERISTICS,
  IMAGE_DLLCHARACTERISTICS_EX,
  IMAGE_FILE,
  IMAGE_SCN,
} from '../winnt.js';
import { describeHotPatch } from './hotpatch.js';
import { describeDynamicRelocations, describeGuard, describeLoadConfig } from './load-config.js';
import { describeDebug, describeFunctionTable, describeImports, describeRelocations } from './parts.js';

/** What is described, and how. */
export interface DescribeOptions {
  /** Also every relocation, function table entry and guard table entry, not only their number. */
  readonly all?: boolean;
  /** Names for the addresses of this image. */
  readonly symbols?: SymbolTable;
}

/** A part of the image that cannot be read, and why. */
export interface Problem {
  /** Which part: `imports`, `loadConfig`. */
  readonly part: string;
  /** Stable name of the rule that was broken. */
  readonly rule: ImageRule;
  /** Where in the file. */
  readonly place: string;
  /** What Windows would return. */
  readonly status: { readonly name: string; readonly value: number };
  /** What is wrong. */
  readonly message: string;
}

/** What {@link describeImage} returns. */
export type ImageDescription = ReturnType<typeof describeImage>;

/**
 * Everything that is in an image as one plain object: numbers up to 32 bits as numbers, addresses as bigints, bytes as
 * hexadecimal strings, flags by name. A part that cannot be read is undefined and listed under `problems`.
 */
export function describeImage(image: PeImage, options: DescribeOptions = {}) {
  const problems: Problem[] = [];
  const part = <T>(name: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      const { rule, place, status, reason } = error;
      problems.push({ part: name, rule, place, status, message: reason });
      return undefined;
    }
  };
  const all = options.all ?? false;
  const { fileHeader, optionalHeader } = image;
  const parts = {
    file: image.file,
    fileSize: image.bytes.length,
    format: image.pointerSize === 8 ? ('PE32+' as const) : ('PE32' as const),
    machine: part('machine', () => image.machine),
    architecture: part('architecture', () => image.architecture),
    hybrid: part('hybrid metadata', () => describeHybrid(image)),
    fileHeader: { ...fileHeader, characteristicsNames: flagNames(fileHeader.characteristics, IMAGE_FILE) },
    optionalHeader: {
      ...optionalHeader,
      dllCharacteristicsNames: flagNames(optionalHeader.dllCharacteristics, IMAGE_DLLCHARACTERISTICS),
    },
    checkSum: {
      stored: optionalHeader.checkSum,
      computed: image.computedCheckSum,
      valid: optionalHeader.checkSum === image.computedCheckSum,
    },
    dataDirectories: image.headers.dataDirectories.map((entry, i) => ({
      name: DIRECTORY_NAMES[i] ?? `${i}`,
      ...entry,
    })),
    sections: image.sections.map((section) => ({
      ...section,
      characteristicsNames: flagNames(section.characteristics, IMAGE_SCN),
    })),
    signed: image.isSigned,
    certificates: part('certificates', () =>
      image.certificates.map(({ data, ...certificate }) => ({ ...certificate, size: data.length })),
    ),
    imports: part('imports', () => image.imports.map(describeImports)),
    delayImports: part('delay imports', () => image.delayImports.map(describeImports)),
    boundImports: part('bound imports', () => image.boundImports),
    exports: part('exports', () => image.exports),
    relocations: part('base relocations', () => describeRelocations(image, all)),
    tls: part('TLS directory', () => image.tls),
    debug: part('debug directory', () => image.debug.map(describeDebug)),
    exDllCharacteristics: part('debug directory', () => ({
      value: image.exDllCharacteristics,
      names: flagNames(image.exDllCharacteristics, IMAGE_DLLCHARACTERISTICS_EX),
    })),
    loadConfig: part('load configuration', () => describeLoadConfig(image)),
    guard: part('guard tables', () => describeGuard(image, all)),
    dynamicRelocations: part('dynamic relocations', () => describeDynamicRelocations(image, all)),
    functionTable: part('function table', () => describeFunctionTable(image, all)),
    hotp1: part('.hotp1 section', () => describeHotp1(image, options.symbols)) ?? null,
    hotPatch: part('hotpatch table', () => hotPatchOf(image, image.hotPatch, options.symbols)) ?? null,
  };
  return {
    ...parts,
    problems: problems.filter(
      (p, i) => problems.findIndex((q) => q.place === p.place && q.rule === p.rule) === i,
    ),
  };
}

function hotPatchOf(image: PeImage, table: HotPatchTable | undefined, symbols: SymbolTable | undefined) {
  if (table === undefined) return null;
  return { ...describeHotPatch(image, table, symbols), findings: validateHotPatch(image) };
}

function describeHybrid(image: PeImage) {
  const { hybrid } = image;
  if (hybrid === undefined) return null;
  const { kind, rva, version, codeRanges, redirections, extraFunctionTable } = hybrid;
  return {
    kind,
    rva,
    version,
    codeRanges,
    redirections: redirections.length,
    extraFunctions: extraFunctionTable.length,
  };
}
