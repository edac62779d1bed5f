import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { strToU8, zipSync } from 'fflate';
import type { Built } from './builds.js';
import { WorkbenchError } from './error.js';
import type { Finished, runProcess } from './limits.js';
import { asFile, wholeFilePatch } from './whole-file-patch.js';

/** A file for the user to keep. */
export interface Exported {
  readonly fileName: string;
  readonly type: string;
  /** Base64. */
  readonly data: string;
}

/** Where the patch is applied in the story: `sensor!Scale+0x3`; undefined: between the calls. */
export type Place = string | undefined;

/** The program, its images and a scenario that patches the one with the other, as a folder in a zip file. */
export function exportScenario(call: string, built: Built, place: Place): Exported {
  const { name } = built.pair;
  const files = filesOf(call, built, place);
  const zip = zipSync(
    Object.fromEntries(Object.entries(files).map(([path, bytes]) => [`${name}/${path}`, bytes])),
  );
  return {
    fileName: `${name}.zip`,
    type: 'application/zip',
    data: Buffer.from(zip).toString('base64'),
  };
}

/** The same scenario as `hotpatch record` shows it. */
export async function exportRecording(
  call: string,
  built: Built,
  place: Place,
  run: (words: readonly string[], cwd: string) => ReturnType<typeof runProcess>,
): Promise<Exported> {
  const folder = join(dirname(built.sources), 'export');
  for (const [path, bytes] of Object.entries(filesOf(call, built, place))) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
  const fileName = `${built.pair.name}.html`;
  const ended: Finished = await run(['record', 'scenario.ts', '--out', fileName], folder);
  if (ended.code !== 0) throw new WorkbenchError('command', ended.stderr.trim());
  return {
    fileName,
    type: 'text/html',
    data: readFileSync(join(folder, fileName)).toString('base64'),
  };
}

function filesOf(call: string, built: Built, place: Place): Readonly<Record<string, Uint8Array>> {
  const { base, hotPatch, pair } = built;
  if (hotPatch === undefined)
    throw new WorkbenchError('request', 'there is no hotpatch to export', 'build one first');
  const { name, base: source, fixed } = pair;
  const text = (content: string) => strToU8(content);
  const stems = new Set([base, hotPatch].map(stemOf));
  const folder = dirname(base);
  const images = readdirSync(folder)
    .filter((file) => stems.has(stemOf(file)) && /\.(?:dll|sys|pdb|map)$/.test(file))
    .map((file) => [`images/${file}`, new Uint8Array(readFileSync(join(folder, file)))] as const);
  return {
    [`${name}.c`]: text(asFile(source)),
    'fix.patch': text(wholeFilePatch(`${name}.c`, source, fixed)),
    'scenario.ts': text(scenarioOf(name, call, basename(base), basename(hotPatch), place)),
    ...Object.fromEntries(images),
  };
}

const stemOf = (path: string): string => basename(path).replace(/\.\w+$/, '');

const NUMBER = /^-?(?:0x[0-9a-f]+|\d+)$/i;

/** @throws WorkbenchError for a call that a scenario cannot be written of */
function scenarioOf(name: string, call: string, base: string, hotPatch: string, place: Place): string {
  const [target = '', ...words] = call.match(/"[^"]*"|\S+/g) ?? [];
  const wrong = words.find((word) => !NUMBER.test(word) && !/^"[^"]*"$/.test(word));
  if (!/^\w+$/.test(target) || wrong !== undefined)
    throw new WorkbenchError('request', `'${wrong ?? call}' cannot be exported: numbers and "texts" can`);
  const parameters = words.map((word) =>
    word.startsWith('"')
      ? `lab.allocate(${JSON.stringify(word.slice(1, -1))}, { domain: process })`
      : `${word}n`,
  );
  const pause =
    place === undefined || !/^\w+!\w+(?:\+0x[0-9a-f]+)?$/.test(place)
      ? []
      : [
          `  lab.run({ until: [inside.reaches(lab.address('${place}')), inside.returns()] });`,
          `  say('A thread stands at ${place}. Now the patch lands.');`,
        ];
  const first = pause.length === 0 ? ['  lab.run({ until: inside.returns() });'] : pause;
  const rest = pause.length === 0 ? [] : ['  lab.run({ until: inside.returns() });'];
  return `import { defineScenario, Lab } from 'hotpatch-lab';

// Written by hotpatch workbench; run it with: hotpatch run scenario.ts
const images = new URL('images/', import.meta.url);

export default defineScenario('${name} is patched while it runs', ({ say }) => {
  const lab = Lab.boot({ architecture: 'x64', processors: 2 });
  const process = lab.createProcess('${name}.exe');
  const image = lab.loadDll(process, new URL('${base}', images));
  const call = () => lab.startThread(image.symbol('${target}'), [${parameters.join(', ')}]);

  const inside = call();
${first.join('\n')}
  lab.loadHotPatch(new URL('${hotPatch}', images));
${rest.join('\n')}
  say(\`The call that had begun before returned \${inside.result}.\`);

  const next = call();
  lab.run({ until: next.returns() });
  say(\`The next one returned \${next.result}.\`);
});
`;
}
