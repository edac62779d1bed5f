import { basename } from 'node:path';
import { findSymbols, readImage } from '../image/index.js';
import {
  type ImageArgument,
  type ImageCall,
  imageOperations,
  type NamedImage,
  type ScenarioOperation,
} from '../proof/index.js';
import { callWords, parseArgument } from './arguments.js';
import { locate } from './call-report.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { commonGeneration, ENGINE_OF } from './patcher.js';

export interface ImageFlags {
  readonly image?: string;
  readonly patch: readonly string[];
  readonly call: readonly string[];
  readonly before: readonly string[];
  readonly with: readonly string[];
  readonly symbols?: string;
  readonly processes?: boolean;
  readonly mixture: 'per-activation' | 'none';
  readonly hotPatchTableSize: number;
}

/** The operations of an image and its hotpatches that `hotpatch explore --image` asks for. */
export function operationsOfImage(flags: ImageFlags): ImageExploration[] {
  const { image, patch, call, before, processes, mixture, hotPatchTableSize } = flags;
  if (image === undefined)
    throw new UsageError('write a scenario, or --image IMAGE --patch HOTPATCH --call CALL');
  if (patch.length === 0) throw new UsageError('--image needs --patch HOTPATCH');
  if (call.length === 0) throw new UsageError("--image needs --call 'FUNCTION ARGUMENTS'");
  const [firstPatch, ...patches] = patch.map((path) => named(path));
  const [firstCall, ...calls] = call.map((text) => callOf('--call', text));
  if (firstPatch === undefined || firstCall === undefined) return [];
  const all = [...before, ...call].join(' ').matchAll(/(?<=\s)\$(\d+)\b/g);
  for (const [text, number] of all)
    if (Number(number) < 1 || Number(number) > before.length)
      throw new UsageError(`${text}: there is no result ${number}, --before makes ${before.length} call(s)`);
  const operations = imageOperations({
    base: named(image, flags.symbols),
    patches: [firstPatch, ...patches],
    calls: [firstCall, ...calls],
    before: before.map((text) => callOf('--before', text)),
    with: flags.with.map((path) => named(path)),
    engine: ENGINE_OF[commonGeneration(patch)],
    processes: processes ?? false,
    mixture,
    hotPatchTableSize,
  });
  return operations.map((operation, index) => ({ index, ...operation }));
}

export type ImageExploration = Pick<ScenarioOperation, 'index' | 'kind' | 'engine' | 'source'>;

function named(path: string, symbolsFile?: string): NamedImage {
  const image = readImage(readInput(path), { file: path });
  const { table: symbols } = findSymbols({ image, path }, symbolsFile === undefined ? {} : { symbolsFile });
  return { name: basename(path), image, ...(symbols === undefined ? {} : { symbols }) };
}

/** `F 1 "two words" @file buf:16 $1`: words as on the command line of `hotpatch call`, and results of earlier calls. */
function callOf(option: string, text: string): ImageCall {
  const [name, ...parameters] = callWords(text);
  if (name === undefined) throw new UsageError(`${option} '${text}': write FUNCTION ARGUMENTS`);
  return { target: (base) => locate(base, name), arguments: parameters.map(argumentOf) };
}

function argumentOf(word: string): ImageArgument {
  const [, number] = /^\$(\d+)$/.exec(word) ?? [];
  if (number !== undefined) return { resultOf: Number(number) };
  const argument = parseArgument(word);
  return typeof argument === 'bigint' ? argument : argument.bytes;
}
