import { type BuildSource, buildHotPatch2003 } from '../builder/index.js';
import { printFinding } from './build-text.js';
import { writeOutput } from './files.js';
import { colours, print, printJson } from './output.js';

export interface Build2003Request {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  readonly out: string;
  readonly allow: readonly string[];
  readonly json: boolean;
}

/** `hotpatch build --generation 2003`. */
export function build2003({ base, fixed, out, allow, json }: Build2003Request): void {
  const { generation, bytes, functions, section, findings } = buildHotPatch2003({ base, fixed, allow });
  writeOutput(out, bytes);
  const { hooks, validations = [], fixups = [], targetName } = section;
  if (json) {
    const counts = { hooks: hooks.length, validations: validations.length, fixups: fixups.length };
    printJson({ out, size: bytes.length, generation, targetName, functions, ...counts, findings });
    return;
  }
  print(colours.bold('hooked: the base leads to the new one'));
  for (const { name } of functions) print(`  ${name}`);
  print(
    `${colours.bold(out)}: ${bytes.length} bytes, generation 2003, for ${targetName}; ${hooks.length} hooks, ${validations.length} validations, ${fixups.length} fixups`,
  );
  for (const finding of findings) printFinding(finding);
}
