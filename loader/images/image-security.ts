import type { LoadConfigField } from '../../image/index.js';
import { IMAGE_GUARD } from '../../image/index.js';
import type { SeededRandom } from '../common/index.js';
import type { LoadedImage } from './loaded-image.js';

/** What the compiler writes; a cookie with another value has been set by somebody already (vcruntime, gs_support.c's rule). */
const DEFAULT_COOKIE = { 8: 0x2b99_2ddfa232n, 4: 0xbb40e64en } as const;

/** Gives the image its own `__security_cookie`, before its first instruction. */
export function setSecurityCookie(loaded: LoadedImage, random: SeededRandom): void {
  const { image, domain } = loaded;
  const config = image.loadConfig;
  if (config === undefined || config.securityCookie === 0n) return;
  if ((config.guardFlags & IMAGE_GUARD.SECURITY_COOKIE_UNUSED) !== 0) return;
  const { pointerSize } = domain.architecture;
  const rva = image.vaToRva(config.securityCookie, 'load config, SecurityCookie');
  if (loaded.readPointer(rva) !== DEFAULT_COOKIE[pointerSize]) return;
  const words = [0, 0, 0, 0].map(() => BigInt(random.between(1, 0xffff)));
  const value = words.reduce((sum, word) => (sum << 16n) | word, 0n);
  // The two top bytes of a 64-bit cookie are zero, so that strings cannot overwrite it.
  loaded.writePointer(rva, BigInt.asUintN(pointerSize === 8 ? 48 : 32, value));
}

/** Load config fields and the simulated functions that the loader lets them point to when CFG is enforced. */
const GUARD_POINTERS: readonly (readonly [field: LoadConfigField, kind: 'check' | 'dispatch'])[] = [
  ['guardCFCheckFunctionPointer', 'check'],
  ['guardCFDispatchFunctionPointer', 'dispatch'],
  ['guardXFGCheckFunctionPointer', 'check'],
  ['guardXFGDispatchFunctionPointer', 'dispatch'],
  ['guardXFGTableDispatchFunctionPointer', 'dispatch'],
];

/** Names of the checking functions (public symbols), by who enforces. */
export const GUARD_FUNCTIONS = {
  user: {
    module: 'ntdll.dll',
    check: 'LdrpValidateUserCallTarget',
    dispatch: 'LdrpDispatchUserCallTarget',
  },
  kernel: { module: 'ntoskrnl.exe', check: '_guard_check_icall', dispatch: '_guard_dispatch_icall' },
} as const;

/** Binds `__guard_check_icall_fptr` and its like. Where CFG is not enforced they keep the image's own functions, which do nothing. */
export function bindGuardFunctions(loaded: LoadedImage): void {
  const { image, domain } = loaded;
  const config = image.loadConfig;
  if (!domain.guard.enforced || config === undefined) return;
  if ((config.guardFlags & IMAGE_GUARD.CF_INSTRUMENTED) === 0) return;
  const functions = GUARD_FUNCTIONS[domain.kind === 'user' ? 'user' : 'kernel'];
  for (const [field, kind] of GUARD_POINTERS) {
    const pointer = config[field];
    if (!config.has(field) || typeof pointer !== 'bigint' || pointer === 0n) continue;
    const target = domain.services.address(functions.module, functions[kind]);
    loaded.writePointer(image.vaToRva(pointer, `load config, ${field}`), target);
  }
}
