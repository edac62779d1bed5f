import { debugCommands } from './commands/index.js';
import type { View } from './view.js';

const MOST = 200;

/** What the last word of a line could be: a command at its beginning, a module or a symbol behind it. */
export function completions(line: string, view: View | undefined): readonly string[] {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  if (line.trim() === word.trim())
    return startingWith(
      debugCommands.map(({ name }) => name),
      word,
    );
  if (view === undefined || word === '') return [];
  const [module, name] = word.split('!');
  if (name === undefined) {
    const symbols = view.images.flatMap((image) => image.symbols.all.map((symbol) => symbol.name));
    return startingWith([...view.images.map((image) => `${image.moduleName}!`), ...symbols], word);
  }
  const images = view.images.filter((image) => image.moduleName === module);
  return startingWith(
    images.flatMap((image) => image.symbols.all.map((symbol) => `${image.moduleName}!${symbol.name}`)),
    word,
  );
}

function startingWith(candidates: readonly string[], start: string): readonly string[] {
  return [...new Set(candidates)].filter((candidate) => candidate.startsWith(start)).slice(0, MOST);
}
