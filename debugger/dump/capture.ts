import { type MinidumpThread, RAW_MEMORY_FORMAT, type RawRegion, writeMinidump } from '../../image/index.js';
import type { Lab } from '../../lab/index.js';
import {
  encodeContext,
  type ImageDomain,
  type LabEvent,
  type LoadedImage,
  type Process,
  type Thread,
} from '../../loader/index.js';
import { describeModules, describePatches } from './describe.js';
import { memoryOf } from './pages.js';

/** Memory of one moment: a file, and what a tool should find in it. */
export interface MemoryCapture {
  readonly kind: 'minidump' | 'raw';
  /** `mail.exe (8)`, `system` */
  readonly of: string;
  readonly bytes: Uint8Array;
  readonly description: object;
  readonly modules: number;
  readonly threads: number;
  readonly memory: number;
}

/** Windows 11 23H2, unless the machine was booted as another build. */
const DEFAULT_BUILD = 22631;
/** FILETIME of 1970, in units of 100 ns. */
const EPOCH = 116_444_736_000_000_000n;

/** What it is that was captured, and when. */
export interface CaptureMoment {
  readonly scenario: string;
  /** The event that had just happened; undefined: the end. */
  readonly event?: LabEvent | undefined;
}

/** A process as MiniDumpWriteDump would write it, with full memory. */
export function captureProcess(lab: Lab, process: Process, moment: CaptureMoment): MemoryCapture {
  const { kernel } = lab;
  const { domain } = process;
  const { memory, regions } = memoryOf(domain);
  const threads = threadsOf(lab, process);
  const bytes = writeMinidump({
    architecture: domain.architecture.name,
    processors: kernel.machine.processors.length,
    version: { major: 10, minor: 0, build: kernel.windowsBuild ?? DEFAULT_BUILD },
    processId: process.id,
    time: Number((kernel.now - EPOCH) / 10_000_000n),
    modules: domain.images.map((image) => ({
      name: `C:\\Windows\\System32\\${image.baseDllName}`,
      base: image.dllBase,
      size: image.sizeOfImage,
      checkSum: image.checkSum,
      timeDateStamp: image.timeDateStamp,
      codeView: codeViewOf(image),
    })),
    threads: threads.map((thread) => minidumpThread(thread)),
    memory,
    regions,
  });
  return {
    kind: 'minidump',
    of: domain.name,
    bytes,
    description: describe(lab, domain, moment, threads, []),
    modules: domain.images.length,
    threads: threads.length,
    memory: memory.reduce((sum, range) => sum + range.bytes.length, 0),
  };
}

/** Kernel space as it is mapped: its stretches of memory one behind the other, with their addresses in the description. */
export function captureKernel(lab: Lab, moment: CaptureMoment): MemoryCapture {
  const { system } = lab.kernel;
  const { memory } = memoryOf(system, true);
  const regions: RawRegion[] = [];
  let offset = 0;
  for (const { address, bytes, protection } of memory) {
    regions.push({ address: `0x${address.toString(16)}`, size: bytes.length, offset, protection });
    offset += bytes.length;
  }
  const bytes = new Uint8Array(offset);
  regions.forEach((region, index) => {
    bytes.set(memory[index]?.bytes ?? new Uint8Array(0), region.offset);
  });
  const threads = lab.kernel.threads.filter(({ domain, finished }) => domain === system && !finished);
  return {
    kind: 'raw',
    of: system.name,
    bytes,
    description: describe(lab, system, moment, threads, regions),
    modules: system.images.length,
    threads: threads.length,
    memory: bytes.length,
  };
}

function threadsOf({ kernel }: Lab, process: Process): Thread[] {
  return kernel.threads.filter((thread) => thread.domain === process.domain && !thread.finished);
}

function minidumpThread(thread: Thread): MinidumpThread {
  const { id, teb = 0n, sp, stack, architecture } = thread;
  const { programCounter, stackPointer } = architecture;
  const special: Readonly<Record<string, bigint>> = { [programCounter]: thread.pc, [stackPointer]: sp };
  return {
    id,
    teb,
    stack: { start: sp, size: Math.max(0, Number(stack.end - sp)) },
    context: encodeContext(architecture.name, (name) => special[name] ?? thread.register(name)),
  };
}

function codeViewOf({ image }: LoadedImage): Uint8Array | undefined {
  return image.debug.find(({ type }) => type === 'CODEVIEW')?.data;
}

function describe(
  lab: Lab,
  domain: ImageDomain,
  { scenario, event }: CaptureMoment,
  threads: readonly Thread[],
  regions: readonly RawRegion[],
): object {
  return {
    format: RAW_MEMORY_FORMAT,
    scenario,
    at: event === undefined ? { kind: 'end' } : { kind: event.kind, text: event.text },
    of: domain.name,
    architecture: domain.architecture.name,
    ...(lab.kernel.windowsBuild === undefined ? {} : { windowsBuild: lab.kernel.windowsBuild }),
    engine: lab.engine.name,
    modules: describeModules(lab, domain),
    patches: describePatches(lab, domain),
    threads: threads.map((thread) => ({
      id: thread.id,
      state: thread.state,
      pc: `0x${thread.pc.toString(16)}`,
      at: thread.describe(thread.pc),
    })),
    regions,
  };
}
