import type { ProtocolStep, Recording, StoreProtocolStep } from '../recording.js';
import type { OperationKind } from '../subject.js';
import type { WriteProtocol } from './write-protocol.js';

/** The steps of the real engine with one thing done wrong. */
function spoiled(
  name: string,
  description: string,
  operations: readonly OperationKind[],
  spoil: (steps: readonly ProtocolStep[], recording: Recording) => readonly ProtocolStep[] | undefined,
): WriteProtocol {
  return {
    name,
    description,
    kind: 'control',
    operations,
    steps: (recording) => spoil(recording.steps, recording),
  };
}

function isStore(step: ProtocolStep, target: StoreProtocolStep['target']): step is StoreProtocolStep {
  return step.kind === 'store' && step.target === target;
}

/** Moves the stores of one kind behind the last store at an entry. */
function storedLast(
  steps: readonly ProtocolStep[],
  target: StoreProtocolStep['target'],
): readonly ProtocolStep[] | undefined {
  const late = steps.filter((step) => isStore(step, target));
  const rest = steps.filter((step) => !isStore(step, target));
  const entry = rest.findLastIndex((step) => isStore(step, 'entry'));
  if (late.length === 0 || entry < 0) return undefined;
  return [...rest.slice(0, entry + 1), ...late, ...rest.slice(entry + 1)];
}

export const entryInHalves = spoiled(
  'entry-in-halves',
  'the two bytes of the short jump at the entry are stored one after the other',
  ['apply', 'revert'],
  (steps) =>
    steps.flatMap((step) =>
      isStore(step, 'entry') && step.bytes.length === 2
        ? [0, 1].map((index) => ({
            ...step,
            address: step.address + BigInt(index),
            bytes: step.bytes.subarray(index, index + 1),
            text: `${step.text} (byte ${index})`,
          }))
        : [step],
    ),
);

export const paddingAfterEntry = spoiled(
  'padding-after-entry',
  'the jump in the padding is stored after the entry leads to it',
  ['apply'],
  (steps) => storedLast(steps, 'padding'),
);

export const dataSlotAfterEntry = spoiled(
  'data-slot-after-entry',
  'the pointer in the HPAT is stored after the entry leads to it',
  ['apply'],
  (steps) => storedLast(steps, 'dataSlot'),
);

export const codeSlotAfterEntry = spoiled(
  'code-slot-after-entry',
  'the code in the HPAT is stored after the entry leads to it',
  ['apply'],
  (steps) => storedLast(steps, 'codeSlot'),
);

export const noSerialisation = spoiled(
  'no-serialisation',
  'no processor is ever serialised',
  ['apply', 'revert'],
  (steps) => steps.filter(({ kind }) => kind !== 'serialise'),
);

export const serialisedOnlyAtTheEnd = spoiled(
  'serialised-only-at-the-end',
  'no processor is serialised between the stores of the trampoline and those at the entries',
  ['apply'],
  (steps) => {
    const entry = steps.findIndex((step) => isStore(step, 'entry'));
    const spoilt = steps.filter((step, index) => step.kind !== 'serialise' || index > entry);
    return spoilt.length === steps.length ? undefined : spoilt;
  },
);

export const noRendezvous = spoiled(
  'no-rendezvous',
  'the processors are not gathered, although the store at the entry could be seen in halves',
  ['apply', 'revert'],
  (steps) =>
    steps.some(({ kind }) => kind === 'rendezvous')
      ? steps.filter(({ kind }) => kind !== 'rendezvous')
      : undefined,
);

export const paddingRestoredFirst = spoiled(
  'padding-restored-first',
  'a revert gives the padding its bytes back while the entry still leads to it',
  ['revert'],
  (steps) => {
    const padding = steps.filter((step) => isStore(step, 'padding'));
    if (padding.length === 0) return undefined;
    const rest = steps.filter((step) => !isStore(step, 'padding'));
    return [...padding.map(unconditional), ...rest];
  },
);

export const paddingRestoredUnderfoot = spoiled(
  'padding-restored-underfoot',
  'a revert restores the padding without looking whether a processor stands in it',
  ['revert'],
  (steps) =>
    steps.some((step) => isStore(step, 'padding'))
      ? steps.map((step) => (isStore(step, 'padding') ? unconditional(step) : step))
      : undefined,
);

function unconditional(step: ProtocolStep): ProtocolStep {
  if (step.kind !== 'store') return step;
  const { unlessOccupied: _, ...rest } = step;
  return rest;
}

export const unmappedTooEarly = spoiled(
  'unmapped-too-early',
  'the patch image is unmapped as soon as the revert is complete',
  ['revert'],
  (steps, { patchImages }) => [
    ...steps,
    ...patchImages.map((range) => ({ kind: 'unmap', range, text: 'the patch image is unmapped' }) as const),
  ],
);
