import type { PageProtection } from '../../cpu/index.js';

/** Values of winnt.h. */
const VALUES: readonly (readonly [value: number, protection: PageProtection])[] = [
  [0x01, 'PAGE_NOACCESS'],
  [0x02, 'PAGE_READONLY'],
  [0x04, 'PAGE_READWRITE'],
  [0x08, 'PAGE_WRITECOPY'],
  [0x10, 'PAGE_EXECUTE'],
  [0x20, 'PAGE_EXECUTE_READ'],
  [0x40, 'PAGE_EXECUTE_READWRITE'],
  [0x80, 'PAGE_EXECUTE_WRITECOPY'],
];
export const PAGE_GUARD = 0x100;

export function pageProtection(value: number): PageProtection | undefined {
  return VALUES.find(([number]) => number === (value & 0xff))?.[1];
}

export function protectionValue(protection: PageProtection): number {
  return VALUES.find(([, name]) => name === protection)?.[0] ?? 0;
}

export function isWritableAndExecutable(protection: PageProtection): boolean {
  return protection === 'PAGE_EXECUTE_READWRITE' || protection === 'PAGE_EXECUTE_WRITECOPY';
}
