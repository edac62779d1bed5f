import {
  type FunctionTableEntry,
  isX64Entry,
  type PeImage,
  readUnwindInfoArm64,
  readUnwindInfoX64,
} from '../image/index.js';
import type { CodeFunction, Program } from './program.js';

/**
 * Functions that no instruction but the unwind data of a function leads to: its language handler, and the filters and
 * `__finally` blocks of its scope table (x64 and ARM64; x86 code names them itself). Data of other handlers, such as
 * those of C++, is not read.
 */
export function handlersOf(program: Program, code: CodeFunction): CodeFunction[] {
  const { image } = program;
  const end = code.rva + code.size;
  return image.functionTable
    .filter(({ beginAddress }) => beginAddress >= code.rva && beginAddress < end)
    .flatMap((entry) => {
      const handler = handlerOf(image, entry);
      if (handler === undefined) return [];
      const scopes = scopesAt(image, handler.data);
      const isScopeTable = scopes.every(({ begin, end: last }) => begin >= code.rva && last <= end);
      return [handler.rva, ...(isScopeTable ? scopes.map((scope) => scope.handler) : [])];
    })
    .flatMap((rva) => program.functionAt(rva) ?? [])
    .filter((found) => found !== code);
}

function handlerOf(image: PeImage, entry: FunctionTableEntry): { rva: number; data: number } | undefined {
  const info = isX64Entry(entry) ? readUnwindInfoX64(image, entry) : readUnwindInfoArm64(image, entry);
  if (!('handlerData' in info) || info.exceptionHandler === undefined || info.handlerData === undefined)
    return undefined;
  return { rva: info.exceptionHandler, data: info.handlerData };
}

/** SCOPE_TABLE_AMD64 and SCOPE_TABLE_ARM64 (winnt.h), or what would be one; none where it has no room. */
function scopesAt(image: PeImage, rva: number): { begin: number; end: number; handler: number }[] {
  const SIZE = 16;
  const section = image.sectionAt(rva);
  const room = section === undefined ? 0 : section.virtualAddress + section.virtualSize - rva - 4;
  const count = room < 0 ? 0 : image.u32At(rva, 'scope table');
  if (count * SIZE > room) return [];
  const table = image.readerAt(rva + 4, count * SIZE, 'scope table');
  return Array.from({ length: count }, (_, index) => ({
    begin: table.u32At(index * SIZE),
    end: table.u32At(index * SIZE + 4),
    handler: table.u32At(index * SIZE + 8),
  }));
}
