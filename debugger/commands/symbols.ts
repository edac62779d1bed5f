import { formatAddress } from '../../cpu/index.js';
import type { LoadedImage } from '../../loader/index.js';
import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { patchState2003 } from '../hooks-2003.js';
import { shortPlace, sourceFrames } from '../source.js';
import type { View } from '../view.js';

export const symbolCommands: readonly DebugCommand[] = [
  {
    name: 'lm',
    usage: 'lm',
    help: 'list the modules that this thread sees, patch images too',
    run: ({ view }) => [
      `${'start'.padEnd(view.format(0n).length)}  ${'end'.padEnd(view.format(0n).length)}  module`,
      ...view.images.map((image) => moduleLine(view, image)),
    ],
  },
  {
    name: 'x',
    usage: 'x [MODULE!]PATTERN',
    help: 'examine symbols; * stands for any characters: x demo!leaf*',
    run: ({ view, args }) => {
      if (args === '') throw new DebugError('x needs a pattern, such as demo!leaf*');
      const found = symbolsLike(view, args).map(({ address, name }) => `${view.format(address)} ${name}`);
      return found.length > 0 ? found : [`no symbol fits ${args}`];
    },
  },
  {
    name: 'ln',
    usage: 'ln ADDRESS',
    help: 'list the nearest symbols',
    run: ({ view, args }) => {
      const address = args === '' ? view.pc : evaluate(args, view);
      const image = view.imageAt(address);
      if (image === undefined) return [`${view.format(address)} is in no module`];
      const rva = image.rva(address);
      const next = image.symbols.all.find((symbol) => symbol.rva > rva);
      const after =
        next === undefined
          ? ''
          : `  |  (${view.format(image.address(next.rva))})   ${image.moduleName}!${next.name}`;
      const line = sourceFrames(image, address).map((frame) => `${shortPlace(frame)} `);
      return [`${line.join('in ')}(${view.format(address)})   ${image.describe(address)}${after}`];
    },
  },
  {
    name: '?',
    usage: '? EXPRESSION',
    help: 'evaluate: numbers are hexadecimal, 0n is decimal; demo!dispatch+9, poi(rsp), @rax',
    run: ({ view, args }) => {
      const value = evaluate(args, view);
      const name = view.nameOf(value);
      const text = `Evaluate expression: ${BigInt.asIntN(64, value)} = ${formatAddress('x64', value)}`;
      return [name === undefined ? text : `${text} ${name}`];
    },
  },
];

function moduleLine(view: View, image: LoadedImage): string {
  const end = image.dllBase + BigInt(image.sizeOfImage);
  const symbols = image.symbols.all.length === 0 ? '(no symbols)' : `${image.symbols.all.length} symbols`;
  const patch = image.loadReason === 'PatchImage' ? ', patch image' : '';
  const known = patchState2003(view, image) ?? image.hotPatchState;
  const state = known === 'BaseImage' ? '' : `, ${known}`;
  return `${view.format(image.dllBase)}  ${view.format(end)}  ${image.moduleName.padEnd(12)} ${image.baseDllName}, ${symbols}${patch}${state}`;
}

/** Symbols of all modules that fit `MODULE!PATTERN` or `PATTERN`. */
export function symbolsLike(
  view: View,
  pattern: string,
): { readonly address: bigint; readonly name: string }[] {
  const [module, name] = pattern.includes('!') ? pattern.split('!') : ['*', pattern];
  const [isModule, isName] = [wildcard(module ?? '*'), wildcard(name ?? '*')];
  return view.images
    .filter(({ moduleName }) => isModule.test(moduleName))
    .flatMap((image) =>
      image.symbols.all
        .filter((symbol) => isName.test(symbol.name))
        .map((symbol) => ({
          address: image.address(symbol.rva),
          name: `${image.moduleName}!${symbol.name}`,
        })),
    );
}

function wildcard(pattern: string): RegExp {
  const escaped = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`, 'i');
}
