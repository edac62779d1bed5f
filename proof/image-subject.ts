import type { EngineName } from '../engine/index.js';
import { type PeImage, readImage, type SymbolTable } from '../image/index.js';
import { Lab } from '../lab/index.js';
import type { ImageDomain, LoadedImage } from '../loader/index.js';
import { refuse } from './refuse.js';
import {
  type Mixture,
  type OperationKind,
  operationTitle,
  type Subject,
  type SubjectCall,
  type SubjectSource,
} from './subject.js';

/** An image with what is known about it. */
export interface NamedImage {
  readonly name: string;
  readonly image: PeImage;
  readonly symbols?: SymbolTable;
}

/** One argument: a number, bytes that the call gets a pointer to, or what a call made before has returned. */
export type ImageArgument = bigint | Uint8Array | { readonly resultOf: number };

export interface ImageCall {
  /** Where the function is in the base, once that is loaded. */
  readonly target: (base: LoadedImage) => bigint;
  /** Or what prepares them, once for each processor's call: it may make calls itself. */
  readonly arguments: readonly ImageArgument[] | ((base: LoadedImage, lab: Lab) => readonly bigint[]);
}

export interface ImageSubjectOptions {
  readonly base: NamedImage;
  /** Hotpatches for it, in the order in which they are applied. */
  readonly patches: readonly [NamedImage, ...NamedImage[]];
  /** The first processor makes the first call, and so on in turn. */
  readonly calls: readonly [ImageCall, ...ImageCall[]];
  /** Calls that are made before, in order, in each process. */
  readonly before?: readonly ImageCall[];
  /** Images that the others import from, in load order. */
  readonly with?: readonly NamedImage[];
  /** Each call is made in a process of its own. Default false. */
  readonly processes?: boolean;
  readonly engine?: EngineName;
  /** Bytes of physical memory. Default 64 MB. */
  readonly memorySize?: number;
  /** HotPatchTableSize of the registry, in bytes. */
  readonly hotPatchTableSize?: number;
  /** Default `per-activation`. */
  readonly mixture?: Mixture;
}

/** An operation on an image that is loaded with hotpatches for it. */
export interface ImageOperation {
  readonly kind: OperationKind;
  readonly engine: EngineName;
  readonly source: SubjectSource;
}

/**
 * What can be done with an image and its hotpatches while calls are made: the first is applied, each further one over the
 * one before it, the last one taken back. Where there is only one, it is also applied over itself with the next number.
 */
export function imageOperations(options: ImageSubjectOptions): ImageOperation[] {
  const [first, ...others] = options.patches;
  const again = others.length > 0 ? others : successorOf(first, options.engine);
  return [
    operation(options, 'apply', [], first),
    ...again.map((patch, index) => operation(options, 'repatch', [first, ...again.slice(0, index)], patch)),
    operation(options, 'revert', options.patches, undefined),
  ];
}

function operation(
  options: ImageSubjectOptions,
  kind: OperationKind,
  before: readonly NamedImage[],
  patch: NamedImage | undefined,
): ImageOperation {
  const { base, calls } = options;
  const what = patch ?? before.at(-1);
  const { engine = 'modern' } = options;
  const source: SubjectSource = {
    name: `${base.name}, ${what?.name ?? ''}: ${operationTitle(kind, engine)}`,
    roles: calls.length,
    mixture: options.mixture ?? 'per-activation',
    create: async ({ processors = calls.length, instructionFetch = 'coherent', hpatForm = {} } = {}) => {
      const { architecture } = base.image;
      if (architecture === undefined)
        throw refuse('exploration.machine', `${base.name}: ${base.image.machine} images cannot be run`);
      const lab = await Lab.boot({
        architecture,
        processors,
        instructionFetch,
        ...(options.engine === undefined ? {} : { engine: options.engine }),
        ...(options.memorySize === undefined ? {} : { memorySize: options.memorySize }),
        ...(options.hotPatchTableSize === undefined || options.engine === 'server-2003'
          ? {}
          : { hotPatchTableSize: options.hotPatchTableSize }),
        ...hpatForm,
      });
      try {
        return subjectOn(lab, options, kind, before, patch);
      } catch (error) {
        lab[Symbol.dispose]();
        throw error;
      }
    },
  };
  return { kind, engine, source };
}

function subjectOn(
  lab: Lab,
  options: ImageSubjectOptions,
  operation: OperationKind,
  before: readonly NamedImage[],
  patch: NamedImage | undefined,
): Subject {
  const { base, calls, processes = false } = options;
  const isDriver = base.image.optionalHeader.subsystem === NATIVE;
  const domains: ImageDomain[] = calls.map(() => lab.kernel.domain);
  if (!isDriver) {
    const one = lab.createProcess('explored.exe').domain;
    for (const [index] of calls.entries())
      domains[index] = processes && index > 0 ? lab.createProcess(`explored${index + 1}.exe`).domain : one;
  }
  const loaded = new Map<ImageDomain, { readonly image: LoadedImage; readonly results: bigint[] }>();
  const parametersOf = (
    domain: ImageDomain,
    base: LoadedImage,
    call: ImageCall,
    results: readonly bigint[],
  ): readonly bigint[] => {
    if (typeof call.arguments === 'function') return call.arguments(base, lab);
    return call.arguments.map((argument) => {
      if (typeof argument === 'bigint') return argument;
      if ('resultOf' in argument) return resultNumber(results, argument.resultOf);
      const address = domain.allocateMemory('pool', Math.max(1, argument.length));
      domain.addressSpace.write(address, argument);
      return address;
    });
  };
  for (const domain of domains) {
    if (loaded.has(domain)) continue;
    for (const other of options.with ?? [])
      lab.kernel.loadImage(other.image, { domain, ...described(other) });
    const image = lab.kernel.loadImage(base.image, { domain, ...described(base) });
    const results: bigint[] = [];
    for (const call of options.before ?? [])
      results.push(
        lab.kernel.call64(call.target(image), parametersOf(domain, image, call, results), { domain }),
      );
    loaded.set(domain, { image, results });
  }
  const made = calls.map((call, index): SubjectCall => {
    const domain = domains[index] ?? lab.kernel.domain;
    const known = loaded.get(domain);
    if (known === undefined) throw new RangeError('the base is loaded where its calls are made');
    return {
      target: call.target(known.image),
      arguments: parametersOf(domain, known.image, call, known.results),
      place: domain.name,
    };
  });
  const [first, ...others] = made;
  if (first === undefined) throw new RangeError('there is a call');
  const inForce = before.map((one) => lab.engine.load(one.image, described(one))).at(-1);
  return {
    lab,
    operation,
    calls: [first, ...others],
    steps: () => {
      if (patch !== undefined) return lab.engine.loadSteps(patch.image, described(patch));
      if (inForce === undefined) throw new RangeError('there is a hotpatch to take back');
      return lab.engine.unloadSteps(inForce as never);
    },
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

const NATIVE = 1;

function resultNumber(results: readonly bigint[], number: number): bigint {
  const result = results[number - 1];
  if (result === undefined)
    throw refuse(
      'exploration.result',
      `there is no result ${number}: ${results.length} calls were made before`,
    );
  return result;
}

const described = ({ name, symbols }: NamedImage) => ({
  name,
  ...(symbols === undefined ? {} : { symbols }),
});

/** The same hotpatch with the next sequence number; none in the generation that has no numbers. */
function successorOf(patch: NamedImage, engine: EngineName = 'modern'): NamedImage[] {
  const { image, name } = patch;
  const table = image.loadConfig?.hotPatchTableOffset;
  const offset = table === undefined || engine !== 'modern' ? undefined : image.rvaToOffset(table);
  if (offset === undefined) return [];
  const bytes = image.bytes.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(offset + SEQUENCE_NUMBER, view.getUint32(offset + SEQUENCE_NUMBER, true) + 1, true);
  const next = readImage(bytes, image.file === undefined ? {} : { file: image.file });
  return [{ ...patch, image: next, name: name.replace(/(\.\w+)?$/, '_again$1') }];
}

/** Offset of SequenceNumber in IMAGE_HOT_PATCH_INFO (winnt.h). */
const SEQUENCE_NUMBER = 8;
