/** Bytes of a page of virtual and physical memory, on every architecture. */
export const PAGE_SIZE = 0x1000;
export const PAGE_SHIFT = 12n;

/** Page protections under their names in winnt.h. */
export type PageProtection =
  | 'PAGE_NOACCESS'
  | 'PAGE_READONLY'
  | 'PAGE_READWRITE'
  | 'PAGE_WRITECOPY'
  | 'PAGE_EXECUTE'
  | 'PAGE_EXECUTE_READ'
  | 'PAGE_EXECUTE_READWRITE'
  | 'PAGE_EXECUTE_WRITECOPY';

/** Permission bits, as the engine takes them. */
export const READ = 1;
export const WRITE = 2;
export const EXECUTE = 4;
export const EVERYTHING = READ | WRITE | EXECUTE;

export type Permissions = number;

/** As on the processors themselves, executable pages can also be read. */
export const PERMISSIONS: Readonly<Record<PageProtection, Permissions>> = {
  PAGE_NOACCESS: 0,
  PAGE_READONLY: READ,
  PAGE_READWRITE: READ | WRITE,
  PAGE_WRITECOPY: READ | WRITE,
  PAGE_EXECUTE: READ | EXECUTE,
  PAGE_EXECUTE_READ: READ | EXECUTE,
  PAGE_EXECUTE_READWRITE: EVERYTHING,
  PAGE_EXECUTE_WRITECOPY: EVERYTHING,
};

export const isExecutable = (protection: PageProtection): boolean =>
  (PERMISSIONS[protection] & EXECUTE) !== 0;
