/** Numbers of unicorn.h 2.1, under their names there. */
export const UC_ARCH_ARM64 = 2;
export const UC_ARCH_X86 = 4;
export const UC_MODE_LITTLE_ENDIAN = 0;
export const UC_MODE_64 = 8;
export const UC_CPU_ARM64_MAX = 3;

export const UC_PROT_READ = 1;
export const UC_PROT_WRITE = 2;
export const UC_PROT_EXEC = 4;
export const UC_PROT_ALL = 7;

export const UC_MEM_READ = 16;
export const UC_MEM_WRITE = 17;
export const UC_MEM_FETCH = 18;

export const UC_HOOK_INTR = 1;
export const UC_HOOK_INSN = 2;
export const UC_HOOK_CODE = 4;
export const UC_HOOK_BLOCK = 8;
export const UC_HOOK_MEM_READ = 1024;
export const UC_HOOK_MEM_WRITE = 2048;
export const UC_HOOK_EDGE_GENERATED = 32768;
export const UC_HOOK_TLB_FILL = 131072;

export const UC_X86_INS_SYSCALL = 699;
export const UC_X86_INS_SYSENTER = 700;

export const UC_TLB_VIRTUAL = 1;

export const UC_ERR_OK = 0;
export const UC_ERR_INSN_INVALID = 10;
export const UC_ERR_EXCEPTION = 21;

const UC_ERR_NAMES: readonly string[] = [
  'UC_ERR_OK',
  'UC_ERR_NOMEM',
  'UC_ERR_ARCH',
  'UC_ERR_HANDLE',
  'UC_ERR_MODE',
  'UC_ERR_VERSION',
  'UC_ERR_READ_UNMAPPED',
  'UC_ERR_WRITE_UNMAPPED',
  'UC_ERR_FETCH_UNMAPPED',
  'UC_ERR_HOOK',
  'UC_ERR_INSN_INVALID',
  'UC_ERR_MAP',
  'UC_ERR_WRITE_PROT',
  'UC_ERR_READ_PROT',
  'UC_ERR_FETCH_PROT',
  'UC_ERR_ARG',
  'UC_ERR_READ_UNALIGNED',
  'UC_ERR_WRITE_UNALIGNED',
  'UC_ERR_FETCH_UNALIGNED',
  'UC_ERR_HOOK_EXIST',
  'UC_ERR_RESOURCE',
  'UC_ERR_EXCEPTION',
  'UC_ERR_OVERFLOW',
];

export const unicornErrorName = (code: number): string => UC_ERR_NAMES[code] ?? `UC_ERR ${code}`;

const IO_WRITE = 1;

/** `UC_CTL(type, number of arguments, direction)` of unicorn.h. */
const control = (type: number, count: number, direction: number): number =>
  (type | (count << 26) | (direction << 30)) >>> 0;

export const UC_CTL_UC_PAGE_SIZE = control(1, 1, IO_WRITE);
export const UC_CTL_UC_USE_EXITS = control(4, 1, IO_WRITE);
export const UC_CTL_UC_EXITS = control(6, 2, IO_WRITE);
export const UC_CTL_CPU_MODEL = control(7, 1, IO_WRITE);
export const UC_CTL_TB_REMOVE_CACHE = control(9, 2, IO_WRITE);
export const UC_CTL_TB_FLUSH = control(10, 0, IO_WRITE);
export const UC_CTL_TLB_FLUSH = control(11, 0, IO_WRITE);
export const UC_CTL_TLB_TYPE = control(12, 1, IO_WRITE);
export const UC_CTL_TCG_BUFFER_SIZE = control(13, 1, IO_WRITE);
