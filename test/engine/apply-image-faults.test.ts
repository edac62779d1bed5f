import { HotPatchError } from 'hotpatch-lab';
import { APPLY_IMAGE_PATCH } from 'hotpatch-lab/engine';
import { describe, expect, it } from 'vitest';
import { systemState } from '../../proof/index.js';
import { boot } from './image-patch.js';

const { REVERSE, FORWARD } = APPLY_IMAGE_PATCH;

/** The phases that a request asks for, those that were done before it, and where a failure leaves base and patch image. */
const REQUESTS = [
  { name: 'backward', before: 0, phases: REVERSE, state: 'NotApplied', fault: 'codeStore' },
  { name: 'backward', before: 0, phases: REVERSE, state: 'NotApplied', fault: 'dataStore' },
  { name: 'forward', before: REVERSE, phases: FORWARD, state: 'AppliedReverse', fault: 'codeStore' },
  { name: 'forward', before: REVERSE, phases: FORWARD, state: 'AppliedReverse', fault: 'dataStore' },
  { name: 'both', before: 0, phases: REVERSE | FORWARD, state: 'NotApplied', fault: 'codeStore' },
  { name: 'both', before: 0, phases: REVERSE | FORWARD, state: 'NotApplied', fault: 'dataStore' },
  { name: 'both', before: 0, phases: REVERSE | FORWARD, state: 'NotApplied', fault: 'page' },
] as const;

describe.each(['coherent', 'weak'] as const)(
  'ApplyImagePatch, %s fetch, when a store or a page fails',
  (fetch) => {
    it.each(REQUESTS)('$name: every $fault', async ({ before, phases, state, fault }) => {
      const statuses = new Set<string>();
      for (let index = 0; ; index++) {
        using machine = await boot({ instructionFetch: fetch });
        const { lab, demo, leaf } = machine;
        const loaded = machine.mapPatch();
        if (before !== 0) expect(machine.apply(loaded.dllBase, before)).toBe('STATUS_SUCCESS');
        expect(leaf()).toBe(42); // the processor has fetched the function's page
        const memory = systemState(lab).memory;
        const vad = machine.engine.record(loaded).vadState;
        let count = 0;
        let fired = false;
        let forwardBegun = false;
        const [processor] = lab.kernel.machine.processors;
        const entry = demo.symbol('leaf_opaque');
        {
          using _ = machine.faults.inject(fault, () => {
            if (fired || count++ !== index) return false;
            fired = true;
            if (fault !== 'page') leaf(); // the processor fetches what has been stored so far
            forwardBegun = loaded.hotPatchState === 'AppliedReverse';
            return true;
          });
          const status = statusOf(() => machine.engine.applyImagePatch(demo, loaded, phases));
          if (!fired) {
            expect(status).toBe('STATUS_SUCCESS');
            break;
          }
          statuses.add(status);
        }
        const now = systemState(lab).memory;
        const changed = [...memory].filter(([page, contents]) => now.get(page) !== contents);
        expect(changed.filter(([page]) => pagesOf(loaded, page) || pagesOf(demo, page))).toEqual([]);
        expect(machine.engine.record(loaded).vadState).toBe(vad);
        expect(loaded.hotPatchState).toBe(state);
        expect(demo.hotPatchState).toBe(forwardBegun ? 'FailedToPatch' : 'BaseImage');
        expect(machine.engine.record(demo).applications).toEqual([]);
        const seen = processor?.fetchBytes(entry - 8n, 16);
        expect(seen).toEqual(demo.domain.addressSpace.read(entry - 8n, 16));
        expect(leaf()).toBe(42);
      }
      const expected =
        fault === 'page'
          ? ['STATUS_NO_MEMORY', 'STATUS_INSUFFICIENT_RESOURCES']
          : ['STATUS_ACCESS_VIOLATION'];
      expect(statuses.size).toBeGreaterThan(0);
      expect(expected).toEqual(expect.arrayContaining([...statuses]));
    });
  },
);

function statusOf(act: () => void): string {
  try {
    act();
    return 'STATUS_SUCCESS';
  } catch (error) {
    if (error instanceof HotPatchError) return error.status.name;
    throw error;
  }
}

/** Does a key of the state name a page of this image? */
function pagesOf(
  {
    dllBase,
    sizeOfImage,
    domain,
  }: { dllBase: bigint; sizeOfImage: number; domain: { table: { name: string } } },
  key: string,
): boolean {
  const at = key.lastIndexOf(' ');
  const page = BigInt(key.slice(at + 1));
  return (
    key.slice(0, at) === domain.table.name && page >= dllBase && page < dllBase + BigInt(sizeOfImage + 0x3000)
  );
}
