import { Command, Option } from 'commander';
import {
  describeImage,
  findSymbols,
  type ImageDescription,
  readImage,
  type SymbolTable,
} from '../image/index.js';
import { readInput } from './files.js';
import { INSPECT_PARTS, type InspectPart, inspectText } from './inspect-text.js';
import { colours, EXIT, note, print, printJson } from './output.js';

interface InspectFlags {
  readonly all?: boolean;
  readonly only?: readonly InspectPart[];
  readonly symbols?: string;
  readonly json?: boolean;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'Shows what is in an image: headers, directories, load configuration, and the hotpatch table chunk by chunk.',
    )
    .argument('<image>', 'a driver, DLL or program')
    .option('--all', 'also list every relocation, guard table entry and function table entry')
    .addOption(new Option('--only <parts...>', 'show these parts only').choices([...INSPECT_PARTS]))
    .option('--symbols <file>', 'PDB or map of the image; default: what lies beside it')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', '\nExample:\n  hotpatch inspect demo_hp.dll --only sections hotpatch')
    .action((path: string, flags: InspectFlags) => {
      const image = readImage(readInput(path), { file: path });
      const symbols = symbolsOf(path, image, flags.symbols);
      const description = describeImage(image, {
        all: flags.all ?? false,
        ...(symbols === undefined ? {} : { symbols }),
      });
      if (flags.json) printJson(description);
      else for (const line of inspectText(description, flags.only ?? INSPECT_PARTS, colours)) print(line);
      reportProblems(description);
    });
}

/** Names are a help here, not a need: whatever is wrong with the files beside the image, the image can be shown. */
function symbolsOf(
  path: string,
  image: ReturnType<typeof readImage>,
  symbolsFile: string | undefined,
): SymbolTable | undefined {
  if (symbolsFile !== undefined) return findSymbols({ image, path }, { symbolsFile }).table;
  try {
    return findSymbols({ image, path }).table;
  } catch {
    return undefined;
  }
}

function reportProblems({ file, problems }: ImageDescription): void {
  for (const { part, place, message, rule, status } of problems) {
    note(`hotpatch: ${file}: the ${part} cannot be read: ${place}: ${message} (${rule}, ${status.name})`);
  }
  if (problems.length > 0) process.exitCode = EXIT.usage;
}
