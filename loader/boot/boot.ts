import { type ArchitectureName, architectureNamed, PAGE_SIZE } from '../../cpu/index.js';
import { assertArgument, type EventLog, hex, KernelError, optionsOf } from '../common/index.js';
import { type HpatLayout, hotPatchReserveSize } from '../images/index.js';
import type { HeapMode } from '../memory/index.js';
import { BOOT_OPTIONS } from './options.js';
import type { BootSeams } from './seams.js';
import { loaderBuild, type WindowsBuild } from './windows-build.js';

/** Are there return trampolines against speculation? */
const HAS_RETPOLINE: Readonly<Record<ArchitectureName, boolean>> = { x64: true, x86: true, arm64: false };

/** How a machine is booted. */
export interface BootOptions {
  /** x86: a 64-bit kernel of the x86 family whose programs are 32-bit ones, under WOW64. */
  readonly architecture: ArchitectureName;
  /**
   * Behave as this build of Windows where builds are known to differ (docs/fidelity.md#builds-of-windows); options that
   * are given beside it take precedence. Default: what any of them accepts is accepted.
   */
  readonly windowsBuild?: WindowsBuild | undefined;
  /** Default 1. */
  readonly processors?: number;
  /** Bytes, of `Session Manager\Memory Management`; 0 turns hotpatching off. Default 0x1000. */
  readonly hotPatchTableSize?: number;
  /** Is virtualization-based security on? Default true; without it hotpatching is disabled. */
  readonly vbs?: boolean;
  /** Are indirect branches of x64 kernel images replaced by retpolines? Default false. */
  readonly retpoline?: boolean;
  /** Does the kernel check the targets of indirect calls (KCFG)? Default false. */
  readonly kernelControlFlowGuard?: boolean;
  /** How the HPAT is laid out. Default `pairs`, and that of {@link windowsBuild}. */
  readonly hpatLayout?: HpatLayout;
  /** Whether processors see changed code at once, or only after they have serialised. Default `coherent`. */
  readonly instructionFetch?: 'coherent' | 'weak';
  /** Decides the length of time slices, image bases and security cookies. Default 1. */
  readonly seed?: number;
  /** Bytes of physical memory. */
  readonly memorySize?: number;
  /** What watches, delays or refuses what the system does. */
  readonly seams?: BootSeams;
  /** How the heaps of programs lie: `checked` finds overruns and uses after free. Default `normal`. */
  readonly heap?: HeapMode;
}

/** What the boot loader and phase 0 decide from the options. */
export interface BootDecisions {
  readonly architecture: ArchitectureName;
  readonly windowsBuild: WindowsBuild | undefined;
  readonly speculationControlPages: boolean;
  readonly processors: number;
  readonly hotPatchTableSize: number;
  /** HotPatchReserveSize of LOADER_PARAMETER_EXTENSION: a multiple of 0x2000. */
  readonly hotPatchReserveSize: number;
  readonly vbs: boolean;
  readonly retpoline: boolean;
  readonly kernelControlFlowGuard: boolean;
  /** Are its programs 32-bit ones, under WOW64? */
  readonly runsWow64: boolean;
  readonly hpatLayout: HpatLayout;
  readonly seed: number;
  readonly heap: HeapMode;
  readonly registry: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

const MEMORY_MANAGEMENT_KEY = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management';
const DEVICE_GUARD_KEY = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\DeviceGuard';

/** @throws KernelError `boot.option` for an option that there is not, or that has a value it cannot have */
export function decideBoot(options: BootOptions): BootDecisions {
  assertArgument(optionsOf<BootOptions>(BOOT_OPTIONS), options, '', 'boot.option');
  const { architecture, processors = 1, hotPatchTableSize = PAGE_SIZE, vbs = true, seed = 1 } = options;
  if (options.retpoline === true && !HAS_RETPOLINE[architecture])
    throw new KernelError({
      rule: 'boot.option',
      status: 'STATUS_INVALID_PARAMETER',
      place: 'retpoline',
      message: `retpoline: ${architecture} kernels have none`,
      hint: 'leave it out: they are of the x86 family',
    });
  const build = loaderBuild(options.windowsBuild);
  return {
    architecture,
    runsWow64: architectureNamed(architecture).system !== architecture,
    windowsBuild: options.windowsBuild,
    speculationControlPages: build.speculationControlPages,
    processors,
    hotPatchTableSize,
    hotPatchReserveSize: hotPatchReserveSize(hotPatchTableSize),
    vbs,
    retpoline: options.retpoline ?? false,
    kernelControlFlowGuard: options.kernelControlFlowGuard ?? false,
    hpatLayout: options.hpatLayout ?? build.hpatLayout,
    seed,
    heap: options.heap ?? 'normal',
    registry: new Map([
      [MEMORY_MANAGEMENT_KEY, new Map([['HotPatchTableSize', hotPatchTableSize]])],
      [DEVICE_GUARD_KEY, new Map([['EnableVirtualizationBasedSecurity', vbs ? 1 : 0]])],
    ]),
  };
}

/** HotPatchingEnabled of _MI_HOT_PATCH_STATE: a reserve, and a Secure Kernel that runs. */
export function hotPatchingEnabled({ hotPatchReserveSize, vbs }: BootDecisions): boolean {
  return hotPatchReserveSize !== 0 && vbs;
}

/** Tells what was decided, in the order of the boot. */
export function announceBoot(decisions: BootDecisions, events: EventLog): void {
  const { architecture, processors, hotPatchTableSize, hotPatchReserveSize: reserve, vbs } = decisions;
  const reserved = !hotPatchingEnabled(decisions)
    ? `hotpatching is disabled${reserve === 0 ? '' : ' without virtualization-based security'}`
    : `${hex(reserve)} bytes reserved behind each image`;
  events.emit({
    kind: 'booted',
    vbs,
    retpoline: decisions.retpoline,
    hotPatchReserveSize: reserve,
    hotPatchingEnabled: hotPatchingEnabled(decisions),
    text:
      `boot: ${architecture}, ${decisions.windowsBuild === undefined ? '' : `build ${decisions.windowsBuild}, `}${processors} processor${processors === 1 ? '' : 's'}, VBS ${vbs ? 'on' : 'off'}; ` +
      `HotPatchTableSize ${hex(hotPatchTableSize)}: ${reserved}`,
  });
  if (vbs)
    events.emit({
      kind: 'secureKernelStarted',
      text: 'boot: VTL1 runs the Secure Kernel, VTL0 the NT kernel',
    });
  if (decisions.retpoline)
    events.emit({
      kind: 'retpolineEnabled',
      text: `boot: retpoline is on; each kernel image gets a ${decisions.speculationControlPages ? 'KSCP' : 'retpoline'} page behind its HPAT`,
    });
  if (decisions.hpatLayout === 'pointers')
    events.emit({
      kind: 'hpatLayout',
      text: 'boot: the HPAT is a plain array of pointers (layout of older builds)',
    });
}

export function announcePhase1(decisions: BootDecisions, events: EventLog): void {
  if (!hotPatchingEnabled(decisions)) return;
  events.emit({
    kind: 'hotPatchProcessCreated',
    text: 'phase 1: the minimal process HotPatch is created; it belongs to no session and can attach to any',
  });
}
