import { basename } from 'node:path';
import { CpuError } from '../cpu/index.js';
import { bootOptionsFor, createEngine } from '../engine/index.js';
import { findSymbols, IMAGE_SUBSYSTEM, type PeImage, readImage } from '../image/index.js';
import {
  type ImageDomain,
  insideInstruction,
  Kernel,
  type LoadedImage,
  type Thread,
  type WindowsBuild,
} from '../loader/index.js';
import { parseArgument } from './arguments.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { commonGeneration, createPatcher, ENGINE_OF, type PatchReport } from './patcher.js';

export interface CallRequest {
  readonly image: string;
  readonly function: string;
  readonly arguments: readonly string[];
  readonly with: readonly string[];
  readonly patch: readonly string[];
  readonly symbols?: string;
  readonly repeat: number;
  readonly unpatch?: boolean;
  readonly pauseAt?: string;
  readonly processors: number;
  readonly seed: number;
  readonly hotPatchTableSize: number;
  readonly windowsBuild?: WindowsBuild;
  /** `NAME=VALUE`, `NAME@12=VALUE`. */
  readonly stub?: readonly string[];
  /** The function returns a pointer to a text, which is read. */
  readonly returnsText?: boolean;
}

export interface CallResult {
  readonly result: bigint;
  /** What the floating-point result register holds. */
  readonly float: number;
  /** With `returnsText`, where there is one. */
  readonly text?: string | undefined;
  readonly instructions: number;
  /** Contents of each `buf:N` argument after the call. */
  readonly buffers: readonly { readonly argument: string; readonly hex: string }[];
}

export interface CallReport {
  readonly image: string;
  readonly function: string;
  readonly architecture: string;
  /** `hp_entry(0, 3, 4)` */
  readonly signature: string;
  readonly results: readonly CallResult[];
  readonly patches: readonly PatchReport[];
  /** What images import that nothing exports. */
  readonly missingImports: readonly {
    readonly module: string;
    readonly name: string;
    readonly importers: readonly string[];
    readonly reached: boolean;
  }[];
  readonly paused?: { readonly at: string; readonly result: bigint; readonly float: number };
  /** With --pause-at: what the first call on a fresh, patched load returns. */
  readonly fresh?: { readonly result: bigint; readonly float: number };
}

/** Does what `hotpatch call` asks for, on a machine of its own. */
export function callReport(request: CallRequest): CallReport {
  const image = readImage(readInput(request.image), { file: request.image });
  const main = runCalls(request, image);
  if (request.pauseAt === undefined) return main;
  const { pauseAt: _, ...unpaused } = request;
  const [fresh] = runCalls({ ...unpaused, repeat: 1 }, image).results;
  return fresh === undefined ? main : { ...main, fresh: { result: fresh.result, float: fresh.float } };
}

function runCalls(request: CallRequest, image: PeImage): CallReport {
  const { architecture } = image;
  if (architecture === undefined)
    throw new UsageError(`${request.image}: ${image.machine} images cannot be run`);
  const engine = ENGINE_OF[commonGeneration(request.patch)];
  const { processors, seed, hotPatchTableSize, windowsBuild } = request;
  using kernel = Kernel.boot(
    bootOptionsFor(engine, { architecture, processors, seed, windowsBuild }, { hotPatchTableSize }),
  );
  const patcher = createPatcher(createEngine(engine, kernel));
  const domain = domainFor(kernel, image);
  const table =
    domain.kind === 'user' ? kernel.userServices({ wow64: kernel.boot.runsWow64 }) : kernel.services;
  for (const text of request.stub ?? []) stub(table, text);
  for (const file of request.with) load(kernel, domain, file);
  const loaded = load(kernel, domain, request.image, image, request.symbols);
  const target = locate(loaded, request.function);
  const call = () => callOnce(kernel, domain, target, request);

  const applyPatches = () => {
    for (const file of request.patch) patcher.apply(file);
    if (request.unpatch) patcher.unapply();
  };
  let paused: CallReport['paused'];
  if (request.pauseAt === undefined) applyPatches();
  else paused = pausedCall(kernel, loaded, target, request, applyPatches);
  const results = Array.from({ length: Math.max(1, request.repeat) }, call);
  return {
    image: basename(request.image),
    function: request.function,
    architecture,
    signature: `${kernel.describe(target)}(${request.arguments.join(', ')})`,
    results,
    patches: patcher.reports(),
    missingImports: table.missing.map((entry) => ({ ...entry, importers: [...entry.importers] })),
    ...(paused === undefined ? {} : { paused }),
  };
}

function pausedCall(
  kernel: Kernel,
  loaded: LoadedImage,
  target: bigint,
  request: CallRequest,
  applyPatches: () => void,
): NonNullable<CallReport['paused']> {
  const where = locate(loaded, request.pauseAt ?? '');
  const thread = startCall(kernel, loaded.domain, target, request.arguments).thread;
  kernel.run({ until: [thread.reaches(where), thread.returns()] });
  if (thread.finished) {
    const inside = insideInstruction(loaded, where);
    throw new UsageError(
      `--pause-at ${request.pauseAt}: the call returned without ever reaching ${kernel.describe(where)}${inside === undefined ? '' : `, which lies ${inside}`}`,
    );
  }
  applyPatches();
  kernel.run({ until: thread.returns() });
  return {
    at: kernel.describe(where),
    result: resultOf(kernel, thread),
    float: thread.floatReturnValue ?? 0,
  };
}

function callOnce(kernel: Kernel, domain: ImageDomain, target: bigint, request: CallRequest): CallResult {
  const { thread, buffers } = startCall(kernel, domain, target, request.arguments);
  kernel.run({ until: thread.returns() });
  kernel.destroyThread(thread);
  const result = resultOf(kernel, thread);
  return {
    result,
    float: thread.floatReturnValue ?? 0,
    ...(request.returnsText ? { text: textAt(domain, result) } : {}),
    instructions: thread.instructions,
    buffers: buffers.map(({ argument, address, size }) => ({
      argument,
      hex: Buffer.from(domain.addressSpace.read(address, size)).toString('hex'),
    })),
  };
}

/** What is read of a text without an end. */
const LONGEST_TEXT = 0x10000;

function textAt({ addressSpace }: ImageDomain, address: bigint): string | undefined {
  const bytes: number[] = [];
  try {
    for (let at = address; bytes.length < LONGEST_TEXT; at++) {
      const [byte = 0] = addressSpace.read(at, 1);
      if (byte === 0) break;
      bytes.push(byte);
    }
  } catch (error) {
    if (!(error instanceof CpuError)) throw error;
    if (bytes.length === 0) return undefined;
  }
  return Buffer.from(bytes).toString('utf8');
}

interface StartedCall {
  readonly thread: Thread;
  readonly buffers: readonly { readonly argument: string; readonly address: bigint; readonly size: number }[];
}

function startCall(
  kernel: Kernel,
  domain: ImageDomain,
  target: bigint,
  args: readonly string[],
): StartedCall {
  const buffers: StartedCall['buffers'][number][] = [];
  const values = args.map((text) => {
    const argument = parseArgument(text);
    if (typeof argument === 'bigint') return argument;
    const address = domain.allocateMemory('pool', Math.max(1, argument.bytes.length));
    domain.addressSpace.write(address, argument.bytes);
    if (argument.printBack) buffers.push({ argument: text, address, size: argument.bytes.length });
    return address;
  });
  return { thread: kernel.createThread(target, values, { domain, name: 'call' }), buffers };
}

/** Functions return `int` unless told otherwise: the low 32 bits when the upper ones are not an address's. */
function resultOf(kernel: Kernel, thread: Thread): bigint {
  const value = thread.returnValue ?? 0n;
  const bits = kernel.machine.architecture.pointerSize * 8;
  return BigInt.asUintN(bits, value);
}

const STUB = /^([^=@]+)(?:@(\d+))?=(-?(?:0x[0-9a-f]+|\d+))$/i;

function stub(table: ReturnType<Kernel['userServices']>, text: string): void {
  const match = STUB.exec(text);
  if (match === null) throw new UsageError(`--stub ${text}: write NAME=VALUE, or NAME@12=VALUE`);
  const [, name = '', pops = '0', value = '0'] = match;
  const number = value.startsWith('-') ? -BigInt(value.slice(1)) : BigInt(value);
  table.stub(name, BigInt.asUintN(64, number), Number(pops));
}

/** Drivers go into kernel space, everything else into a process of its own. */
export function domainFor(kernel: Kernel, image: PeImage): ImageDomain {
  if (image.optionalHeader.subsystem === IMAGE_SUBSYSTEM.NATIVE || kernel.boot.runsWow64)
    return kernel.domain;
  return kernel.createProcess({ name: 'call.exe' }).domain;
}

export function load(
  kernel: Kernel,
  domain: ImageDomain,
  path: string,
  image = readImage(readInput(path), { file: path }),
  symbols?: string,
): LoadedImage {
  return kernel.loadImage(image, {
    domain,
    name: basename(path),
    symbols: findSymbols({ image, path }, symbols === undefined ? {} : { symbolsFile: symbols }).table,
  });
}

/** `name`, `module!name`, `module!name+0x9`, `+0xRVA`. */
export function locate(loaded: LoadedImage, text: string): bigint {
  const match = /^(?:([^!]+)!)?([^+]*)(?:\+(0x[0-9a-f]+|\d+))?$/i.exec(text);
  if (match === null || text === '')
    throw new UsageError(`'${text}' is not a place: write name, module!name+0x9 or +0xRVA`);
  const [, module, name, offsetText] = match;
  const offset = offsetText === undefined ? 0 : Number(offsetText);
  const image = module === undefined ? loaded : loaded.domain.findImage(module);
  if (image === undefined) throw new UsageError(`'${text}': no image called '${module}' is loaded`);
  if (name === undefined || name === '') return image.address(offset);
  return image.symbol(name, offset);
}
