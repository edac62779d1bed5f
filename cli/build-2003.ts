import { type BuildSource, buildColdpatch, buildHotPatch2003 } from '../builder/index.js';
import { printFinding } from './build-text.js';
import { writeOutput } from './files.js';
import { colours, print, printJson } from './output.js';

export interface Build2003Request {
  readonly base: BuildSource;
  readonly fixed: BuildSource;
  readonly out: string;
  readonly allow: readonly string[];
  /** Where the coldpatch goes: the old file with the fixed functions appended. */
  readonly coldpatch: string | undefined;
  readonly json: boolean;
}

/** `hotpatch build --generation 2003`. */
export function build2003({ base, fixed, out, allow, coldpatch, json }: Build2003Request): void {
  const built = buildHotPatch2003({ base, fixed, allow });
  const { generation, bytes, functions, section, findings } = built;
  const cold = coldpatch === undefined ? undefined : buildColdpatch(base.image, built.image);
  writeOutput(out, bytes);
  if (coldpatch !== undefined && cold !== undefined) writeOutput(coldpatch, cold);
  const { hooks, validations = [], fixups = [], targetName } = section;
  if (json) {
    const counts = { hooks: hooks.length, validations: validations.length, fixups: fixups.length };
    const more = coldpatch === undefined ? {} : { coldpatch };
    printJson({ out, size: bytes.length, generation, targetName, functions, ...counts, ...more, findings });
    return;
  }
  print(colours.bold('hooked: the base leads to the new one'));
  for (const { name } of functions) print(`  ${name}`);
  print(
    `${colours.bold(out)}: ${bytes.length} bytes, generation 2003, for ${targetName}; ${hooks.length} hooks, ${validations.length} validations, ${fixups.length} fixups`,
  );
  if (coldpatch !== undefined && cold !== undefined)
    print(
      `${colours.bold(coldpatch)}: ${cold.length} bytes, the coldpatch: ${targetName} with the fixed functions appended and jumps to them`,
    );
  for (const finding of findings) printFinding(finding);
}
