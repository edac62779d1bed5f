import type { BuildRuleId } from '../../../builder/index.js';
import type { Architecture } from '../toolchain.js';

/** A fix that a patch builder finds hard, and what must come of it. */
export interface FixCase {
  /** Kind and what is special about it. */
  readonly what: string;
  /** C or C++ files by name; HP_FIX is 0 or 1. */
  readonly files: Readonly<Record<string, string>>;
  /** IR names of what is marked in the fixed build. */
  readonly marked?: readonly string[];
  /** Default: x64 and ARM64. */
  readonly architectures?: readonly Architecture[];
  readonly compilerFlags?: readonly string[];
  readonly linkerFlags?: readonly string[];
  /** Read the map instead of the PDB. */
  readonly isMapOnly?: boolean;
  /** Read the map beside the PDB too, as `hotpatch build` does. */
  readonly hasMap?: boolean;
  readonly pairs?: readonly { readonly base: string; readonly fixed: string }[];
  /** The rule that refuses it. */
  readonly refused?: BuildRuleId;
  /** A rule that must warn. */
  readonly warned?: BuildRuleId;
  /** No hotpatch may be refused, and no other warning than `warned` may be told. */
  readonly isQuiet?: boolean;
  /** `name argument…`: calls before the hotpatch, and after it. */
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** What the later calls return, found by reading the source. Not asked when it is refused. */
  readonly right?: readonly number[];
  /** A call that the hotpatch meets: stopped before the first instruction of `at`; what it returns then. */
  readonly inFlight?: { readonly call: string; readonly at: string; readonly result: number };
}

/** What every file begins with. */
export const HEAD = `
#define EXPORT __declspec(dllexport)
#define NOINLINE __declspec(noinline)
#define IMPORT __declspec(dllimport)
#ifdef __cplusplus
extern "C" {
#endif
IMPORT unsigned DbgPrint(const char *format, ...);
IMPORT void ExRaiseStatus(int status);
IMPORT void *ExAllocatePool2(unsigned long long flags, __SIZE_TYPE__ size, unsigned tag);
#ifdef __cplusplus
}
#endif
`;

export const ENTRY = 'EXPORT int __stdcall DriverEntry(void *driver, void *path) { return 0; }';

export const DEFINITIONS = `LIBRARY ntoskrnl.exe
EXPORTS
DbgPrint
ExRaiseStatus
ExAllocatePool2
__C_specific_handler
`;
