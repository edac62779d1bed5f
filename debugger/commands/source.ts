import type { DebugCommand } from '../command.js';
import { DebugError } from '../error.js';
import { evaluate } from '../expression.js';
import { sourceAround } from '../source-lines.js';

const BEFORE = 5;
const COUNT = 10;

export const sourceCommands: readonly DebugCommand[] = [
  {
    name: 'l+t',
    usage: 'l+t | l-t',
    help: 't, p and p- go by source lines; l-t: by instructions',
    run: ({ view }) => {
      view.session.stepsByLine = true;
      return ['Source mode: t, p and p- go by source lines'];
    },
  },
  {
    name: 'l-t',
    usage: 'l-t',
    help: 't, p and p- go by instructions',
    run: ({ view }) => {
      view.session.stepsByLine = false;
      return ['Assembly mode: t, p and p- go by instructions'];
    },
  },
  {
    name: 'lsa',
    aliases: ['ls'],
    usage: 'lsa [ADDRESS]',
    help: 'list the source around ADDRESS',
    run: ({ view, args }) => {
      const address = args === '' ? view.pc : evaluate(args, view);
      const lines = sourceAround(view, address, BEFORE, COUNT);
      if (lines === undefined)
        throw new DebugError(
          `no source line is known for ${view.describe(address)}: its module has no PDB with lines`,
        );
      return lines;
    },
  },
  {
    name: '.srcpath',
    usage: '.srcpath [FOLDER]',
    help: 'where source files are looked for first; the folder of the PDB and the working folder come after',
    run: ({ view, args }) => {
      if (args !== '') view.session.setSourceFolders(args.split(';').map((folder) => folder.trim()));
      return [`Source search path is: ${view.session.sourceFolders.join(';') || '(none)'}`];
    },
  },
];
