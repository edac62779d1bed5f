import * as v from 'valibot';
import { missingForMake } from '../builder/index.js';
import type { Builds } from './builds.js';
import { WorkbenchError } from './error.js';
import { exportRecording, exportScenario } from './export.js';
import { type Finished, type RunLimits, runProcess } from './limits.js';
import type { Program, Start } from './protocol.js';

/** What the page can ask for by POST, by path. */
export type Actions = Readonly<Record<string, (body: object) => Promise<unknown>>>;

export interface ActionsOwner {
  readonly opened: { readonly program: Program; readonly file?: string };
  readonly builds: Builds;
  readonly command: readonly [string, ...string[]];
  readonly limits: RunLimits;
  readonly folder: string;
  readonly signal: AbortSignal;
}

const EXPORT_SECONDS = 60;

const source = v.pipe(v.string(), v.maxLength(400_000));
const PAIR = v.object({
  name: v.pipe(v.string(), v.regex(/^[A-Za-z]\w{0,30}$/, 'a name has letters, digits and _ only')),
  base: source,
  fixed: source,
});
const EXPLORE = v.object({
  build: v.number(),
  call: v.pipe(v.string(), v.maxLength(1000)),
  processors: v.picklist([1, 2]),
  fetch: v.picklist(['coherent', 'weak']),
  protocol: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/)),
});

const EXPORT = v.object({
  kind: v.picklist(['scenario', 'recording']),
  build: v.number(),
  call: v.pipe(v.string(), v.maxLength(1000)),
  /** Where the patch was applied. */
  place: v.optional(v.pipe(v.string(), v.maxLength(1000))),
});

export function actionsOf({ opened, builds, command, limits, folder, signal }: ActionsOwner): Actions {
  const run = (words: readonly string[]) =>
    runProcess([...command, ...words], limits, { cwd: folder, signal });
  return {
    '/api/start': async (): Promise<Start> => ({
      ...opened,
      missing: missingForMake().map(({ name, howToGet }) => `${name}: ${howToGet}`),
    }),
    '/api/build': async (body) => builds.make(read(PAIR, body)),
    '/api/explore': async (body) => {
      const { build, call, processors, fetch, protocol } = read(EXPLORE, body);
      const { base, hotPatch } = builds.get(build);
      if (hotPatch === undefined) throw new WorkbenchError('request', 'this build made no hotpatch');
      const images = ['--image', base, '--patch', hotPatch, '--call', call];
      const how = ['--cpus', String(processors), '--fetch', fetch, '--protocol', protocol];
      const most = ['--operation', 'apply', '--most-seconds', String(Math.ceil(limits.seconds / 2))];
      return documentOf(await run(['explore', ...images, ...how, ...most, '--json']));
    },
    '/api/export': async (body) => {
      const { kind, build, call, place } = read(EXPORT, body);
      const built = builds.get(build);
      if (kind === 'scenario') return exportScenario(call, built, place);
      return exportRecording(call, built, place, (words, cwd) =>
        runProcess([...command, ...words], { ...limits, seconds: EXPORT_SECONDS }, { cwd, signal }),
      );
    },
  };
}

function read<S extends v.GenericSchema>(schema: S, body: object): v.InferOutput<S> {
  const parsed = v.safeParse(schema, body);
  if (parsed.success) return parsed.output;
  throw new WorkbenchError('request', parsed.issues.map(({ message }) => message).join('; '));
}

/** The JSON document that a command has printed; its error, if that is what it is. */
function documentOf({ stdout, stderr }: Finished): object {
  let document: { readonly error?: { readonly message: string; readonly hint?: string } };
  try {
    document = JSON.parse(stdout);
  } catch {
    throw new WorkbenchError('command', stderr.trim() || 'the command has printed nothing');
  }
  if (document.error === undefined) return document;
  throw new WorkbenchError('command', document.error.message, document.error.hint);
}
