import { HOOK_TYPE, type Hotp1HookInput } from '../../../image/index.js';
import type { LoadedImage, Thread } from '../../../loader/index.js';
import { buildPatch, indirectHooks, nearHooks, type Processor, type Running } from './support.js';

/** 32-bit DLLs on a system of their own, and under WOW64 on an x64 server. */
export const SYSTEMS = [
  { processor: 'x86', wow64: false, name: 'x86' },
  { processor: 'x86', wow64: true, name: 'x86 under WOW64' },
  { processor: 'x64', wow64: false, name: 'x64' },
] as const;

export type Form = 'near' | 'indirect' | 'cave';
export type Name = 'f' | 'h';

export interface Fix {
  readonly functions: readonly Name[];
  readonly form?: Form;
  readonly result: number;
  /** First cell, for pointers of the indirect form. */
  readonly cell?: number;
}

export function hotpatchOf(
  { target }: Running,
  processor: Processor,
  { functions, form = 'near', result, cell = 0 }: Fix,
) {
  return buildPatch(target, {
    processor,
    name: `fix${result}.dll`,
    result,
    section: ({ good, layout }) => ({
      ...good,
      validations: [],
      hooks: functions.flatMap((name, index): Hotp1HookInput[] => {
        const [f, g, cells] = [target.rva(name), layout.rva('g'), target.rva('cells')];
        if (form === 'near') return nearHooks(f, g);
        if (form === 'indirect') {
          const hooks = indirectHooks(f, g, cells + 8 * cell);
          return index === 0 ? hooks : hooks.slice(1);
        }
        const at = target.rva('cave') + 8 * (cell + index);
        return [
          { type: HOOK_TYPE.X86_JMP, options: 5, hookRva: at, hotpRva: g },
          { type: HOOK_TYPE.X86_JMP2B, options: 2, hookRva: f, hotpRva: (at - f - 2) & 0xff },
        ];
      }),
    }),
  });
}

export const ORIGINAL: Readonly<Record<Name, number>> = { f: 1, h: 2 };

export function first(running: Running): LoadedImage {
  const [module] = running.loaded;
  if (module === undefined) throw new Error('no process');
  return module;
}

export const results = (running: Running) => [running.call('f')[0], running.call('h')[0]];
export const isItself = ({ loaded }: Running) =>
  loaded.every((image) => Buffer.compare(image.codeBytes(), image.codeBytesBeforePatch) === 0);

/** A thread that has come as far as an address by calling a function. */
export function standAt(running: Running, name: Name, distance: bigint): Thread {
  const module = first(running);
  const thread = running.lab.kernel.createThread(module.symbol(name), [], { domain: module.domain });
  running.lab.run({ until: thread.reaches(module.symbol(name) + distance) });
  return thread;
}
