import type { BuildFinding } from '../builder/index.js';
import { MakeError, type MakeStage, makeBase, makeHotPatch } from '../builder/index.js';
import { definitionLine, firstChange, marksOfCompiler } from './marks.js';
import type { BuildOutcome, Mark } from './protocol.js';

/** One build, for the process that builds. */
export interface BuildRequest {
  readonly build: number;
  /** The base as a file. */
  readonly file: string;
  readonly base: string;
  readonly fixed: string;
  /** Empty: the base alone. */
  readonly patch: string;
  readonly out: string;
  readonly sequenceNumber: number;
}

/** What has become of it, with the images on this machine. */
export interface BuildAnswer {
  readonly outcome: BuildOutcome;
  readonly base?: string;
  readonly hotPatch?: string;
}

/** The process builds what it is sent, one after the other, until its parent is gone. It stays warm between builds. */
process.on('message', async (request: BuildRequest) => {
  process.send?.(await build(request));
});
process.on('disconnect', () => process.exit());

async function build(request: BuildRequest): Promise<BuildAnswer> {
  const start = performance.now();
  let stage: MakeStage = 'base';
  const input = { source: [request.file], out: request.out, allow: [] };
  const answer = (
    outcome: Partial<BuildOutcome> & Pick<BuildOutcome, 'verdict' | 'text'>,
    images: Pick<BuildAnswer, 'base' | 'hotPatch'> = {},
  ): BuildAnswer => ({
    outcome: {
      build: request.build,
      marks: [],
      notes: [],
      patched: [],
      exports: [],
      milliseconds: Math.round(performance.now() - start),
      ...outcome,
    },
    ...images,
  });
  const baseAlone = async (text: string) => {
    const [made] = await makeBase(input);
    if (made === undefined) throw new MakeError({ rule: 'product', message: 'nothing was built' });
    return answer({ verdict: 'base', text, exports: made.exports }, { base: made.base });
  };
  try {
    if (request.patch === '')
      return await baseAlone('The two sources are the same: there is nothing to patch.');
    const { architectures } = await makeHotPatch({
      ...input,
      patches: [{ name: 'fix.patch', text: Buffer.from(request.patch, 'utf8').toString('latin1') }],
      sequenceNumber: request.sequenceNumber,
      onProgress: (progress) => {
        stage = progress.stage;
      },
    });
    const [made] = architectures;
    if (made === undefined) throw new MakeError({ rule: 'product', message: 'nothing was built' });
    const { report, functions, base, hotPatch } = made;
    const told = findings(report.findings, request);
    const { exports } = (await baseAlone('')).outcome;
    if (hotPatch === undefined)
      return answer(
        { verdict: 'refused', text: 'This change cannot be a hotpatch.', ...told, exports },
        { base },
      );
    const patched = functions.filter(({ role }) => role === 'patched').map(({ name }) => name);
    const text = `A hotpatch of ${patched.length} function(s): ${patched.join(', ')}.`;
    return answer({ verdict: 'patched', text, ...told, patched, exports }, { base, hotPatch });
  } catch (error) {
    if (error instanceof MakeError && error.rule === 'noChange')
      return baseAlone('Both sources compile to the same code: there is nothing to patch.');
    return answer({ verdict: 'failed', ...failure(error, stage === 'base' ? 'base' : 'fixed') });
  }
}

/** At the line of the function or variable; a refusal that has none of its own is marked where the fix begins. */
function findings(
  all: readonly BuildFinding[],
  { base, fixed }: BuildRequest,
): Pick<BuildOutcome, 'marks' | 'notes'> {
  const marks: Mark[] = [];
  const notes: string[] = [];
  for (const { symbol, severity, message, hint } of all) {
    const text = `${symbol === undefined ? '' : `${symbol}: `}${message}. ${hint}`;
    const isRefusal = severity === 'refusal';
    const own = symbol === undefined ? undefined : definitionLine(fixed, symbol);
    const line = own ?? (isRefusal ? firstChange(base, fixed) : undefined);
    if (line === undefined) notes.push(text);
    else marks.push({ side: 'fixed', line, severity: isRefusal ? 'error' : 'warning', message: text });
  }
  return { marks, notes };
}

function failure(error: unknown, side: Mark['side']): Pick<BuildOutcome, 'text' | 'marks' | 'notes'> {
  if (!(error instanceof MakeError))
    return { text: error instanceof Error ? error.message : String(error), marks: [], notes: [] };
  const marks = marksOfCompiler(error.output ?? '', side);
  const notes = error.hint === undefined ? [] : [error.hint];
  if (marks.length === 0 && error.output !== undefined) notes.push(error.output);
  const which = side === 'base' ? 'the base' : 'the fixed source';
  return { text: error.rule === 'compile' ? `The compiler refuses ${which}.` : error.reason, marks, notes };
}
