import { describe, expect, it } from 'vitest';
import {
  FAULTS,
  type FaultResult,
  type FaultyOperation,
  faultCampaign,
  type ImagePlace,
  RESULTS,
  type SituationKind,
  STATUS_OF_FAULT,
} from '../../proof/index.js';

const [ORIGINAL, FIRST, SECOND] = RESULTS;
/** What the function returns where the base is before the operation, and everywhere after it. */
const BEFORE: Record<FaultyOperation, number | undefined> = {
  apply: ORIGINAL,
  repatch: FIRST,
  revert: FIRST,
  deferred: undefined,
  processStart: FIRST,
  processCreation: FIRST,
};
const AFTER: Record<FaultyOperation, number> = {
  apply: FIRST,
  repatch: SECOND,
  revert: ORIGINAL,
  deferred: FIRST,
  processStart: FIRST,
  processCreation: FIRST,
};

const SYSTEM: readonly FaultyOperation[] = ['apply', 'repatch', 'revert', 'deferred'];
const OPERATIONS: Record<ImagePlace, readonly FaultyOperation[]> = {
  driver: SYSTEM,
  sessionDriver: SYSTEM,
  secureModule: SYSTEM,
  dll: [...SYSTEM, 'processStart', 'processCreation'],
  exe: ['apply', 'repatch', 'revert', 'processCreation'],
};
const isUser = (place: ImagePlace): boolean => place === 'dll' || place === 'exe';

const kinds: SituationKind[] = (['x64', 'arm64', 'x86'] as const).flatMap((architecture) =>
  (Object.keys(OPERATIONS) as ImagePlace[])
    .filter((place) => architecture !== 'x86' || isUser(place))
    .flatMap((place) => OPERATIONS[place].map((operation) => ({ architecture, place, operation }))),
);
for (const operation of SYSTEM) {
  kinds.push(
    { architecture: 'x64', place: 'driver', operation, hpatForm: { hpatLayout: 'pointers' } },
    { architecture: 'x64', place: 'driver', operation, hpatForm: { retpoline: true } },
  );
}

/** All of them with HOTPATCH_PROOF=all; else one of each architecture, place and operation. */
const QUICK = [
  'x64 driver apply',
  'x64 sessionDriver revert',
  'arm64 dll repatch',
  'x86 dll processStart',
  'arm64 exe processCreation',
  'x64 secureModule deferred',
];
const chosen = kinds.filter(
  ({ architecture, place, operation, hpatForm }) =>
    process.env.HOTPATCH_PROOF === 'all' ||
    (hpatForm === undefined && QUICK.includes(`${architecture} ${place} ${operation}`)),
);

/** How the operation ends when this fails at this place. */
function outcomesOf({ kind }: FaultResult, place: ImagePlace): readonly string[] {
  const refused = `before, ${STATUS_OF_FAULT[kind]}`;
  switch (kind) {
    case 'page':
    case 'addressSpace':
      return [refused, 'before, STATUS_INSUFFICIENT_RESOURCES'];
    case 'calloutFails':
      // Phase 0 refuses the patch; later it ends the process (fast fail 68), or the system.
      return [refused, isUser(place) ? 'ended, 0xc0000409' : 'stopped, 0x1a/0x48501b'];
    case 'calloutCrashes':
      return [isUser(place) ? 'ended, 0xc0000005' : 'stopped, 0x7e/0xc0000005'];
    default:
      return [refused];
  }
}

function outcomeOf({ state, status, ended }: FaultResult): string {
  if (state !== 'ended') return `${state}, ${status}`;
  return `ended, ${ended.map((exitStatus) => `0x${exitStatus.toString(16)}`).join()}`;
}

function check(result: FaultResult, { place, operation }: SituationKind): void {
  expect(outcomesOf(result, place), `${FAULTS[result.kind]}, ${result.index}`).toContain(outcomeOf(result));
  const { state, results, again, failedToPatch } = result;
  if (state === 'stopped') return;
  const expected = state === 'before' ? BEFORE[operation] : undefined;
  if (expected !== undefined) expect([...results].every((value) => value === expected)).toBe(true);
  // A user image whose forward application failed refuses further patches, by STATUS_PATCH_CONFLICT.
  if (failedToPatch) expect(again).toMatch(/an earlier patch of .* failed in its forward application/);
  else expect([...again].every((value) => value === AFTER[operation])).toBe(true);
}

describe('whatever fails, the system is as before or as after', () => {
  it.each(chosen)('$architecture $place $operation', async (kind) => {
    const met = new Set<string>();
    for await (const result of faultCampaign(kind)) {
      met.add(result.kind);
      check(result, kind);
    }
    const { operation, place, architecture } = kind;
    const isLoad =
      operation === 'processStart' || operation === 'processCreation' || operation === 'deferred';
    const engineSteps = isLoad ? [] : ['step', 'abandoned'];
    const stores =
      operation === 'repatch'
        ? ['dataStore']
        : operation === 'revert'
          ? ['codeStore']
          : ['codeStore', 'dataStore'];
    expect([...met]).toEqual(expect.arrayContaining([...engineSteps, ...stores]));
    if (place === 'sessionDriver') expect([...met]).toContain('attach');
    // A base that has just been loaded is patched without a rendezvous.
    if (architecture === 'arm64' && operation !== 'repatch')
      expect([...met].includes('gather')).toBe(!isLoad);
    if (!isLoad && operation !== 'revert')
      expect([...met]).toEqual(
        expect.arrayContaining(['calloutFails', 'calloutCrashes', 'page', 'addressSpace']),
      );
  });
});
