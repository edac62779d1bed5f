import { type ArchitectureName, type X86Encoder, x64Encoder, x86Encoder } from '../../cpu/index.js';
import type { ProtocolStep, Recording, Redirection } from '../recording.js';
import type { WriteProtocol } from './write-protocol.js';

/** A near jump of five bytes over the function's first instructions, and the ways in which it may get there. */
const JUMP_SIZE = 5;
const PADDING_SIZE = 5n;
const INT3 = Uint8Array.of(0xcc);

interface Jump {
  readonly place: string;
  readonly entry: bigint;
  readonly target: bigint;
  readonly bytes: Uint8Array;
  readonly symbol: string;
}

const serialise: ProtocolStep = { kind: 'serialise', text: 'every processor is serialised' };

function store(
  jump: Jump,
  first: number,
  end: number,
  bytes = jump.bytes.subarray(first, end),
): ProtocolStep {
  const address = jump.entry + BigInt(first);
  const hex = Buffer.from(bytes).toString('hex');
  return {
    kind: 'store',
    target: 'entry',
    place: jump.place,
    address,
    bytes,
    text: `${hex} is stored at ${jump.symbol}+${first}`,
  };
}

/** A protocol that makes the steps for one jump after the other. */
function directJump(
  details: Pick<WriteProtocol, 'name' | 'description' | 'kind'> & {
    readonly write: (jump: Jump) => readonly ProtocolStep[];
    readonly breakpoints?: NonNullable<WriteProtocol['breakpoints']>;
  },
): WriteProtocol {
  const { name, description, kind, write, breakpoints } = details;
  return {
    name,
    description,
    kind,
    operations: ['apply'],
    steps(recording) {
      const jumps = jumpsOf(recording);
      return jumps && [...recording.steps.filter(isBackward(recording)), ...jumps.flatMap(write), serialise];
    },
    ...(breakpoints === undefined ? {} : { breakpoints }),
  };
}

/** Stores into the patch image come first, whatever the protocol. */
function isBackward({ patchImages }: Recording) {
  return (step: ProtocolStep): boolean =>
    step.kind === 'store' &&
    patchImages.some(
      ({ place, start, end }) => step.place === place && step.address >= start && step.address < end,
    );
}

/** Of architectures whose functions have padding, or a jump over several bytes. */
const ENCODERS: Readonly<Record<ArchitectureName, X86Encoder | undefined>> = {
  x64: x64Encoder,
  x86: x86Encoder,
  arm64: undefined,
};

function jumpsOf({ architecture, redirections }: Recording): Jump[] | undefined {
  const encoder = ENCODERS[architecture];
  if (encoder === undefined || !redirections.some(({ target }) => target !== undefined)) return undefined;
  return redirections.flatMap(({ place, entry, target, symbol }) =>
    target === undefined ? [] : [{ place, entry, target, symbol, bytes: encoder.nearJump(entry, target) }],
  );
}

export const byteByByte = directJump({
  name: 'byte-by-byte',
  description: 'the five bytes of a jump are copied over the entry one after the other',
  kind: 'control',
  write: (jump) => Array.from({ length: JUMP_SIZE }, (_, index) => store(jump, index, index + 1)),
});

export const tailThenOpcode = directJump({
  name: 'tail-then-opcode',
  description: "the jump's four bytes of distance are stored first, its opcode last",
  kind: 'control',
  write: (jump) => [store(jump, 1, JUMP_SIZE), store(jump, 0, 1)],
});

export const oneStore = directJump({
  name: 'one-store',
  description:
    'the five bytes of a jump are stored at once: right over a first instruction of at least five bytes',
  kind: 'control',
  write: (jump) => [store(jump, 0, JUMP_SIZE)],
});

const breakpointRounds = (jump: Jump): readonly ProtocolStep[] => [
  store(jump, 0, 1, INT3),
  serialise,
  store(jump, 1, JUMP_SIZE),
  serialise,
  store(jump, 0, 1),
];

export const breakpointRound = directJump({
  name: 'breakpoint',
  description:
    'INT 3, tail, opcode, with all processors serialised in between, as Linux does; the handler performs the jump: right over a first instruction of at least five bytes',
  kind: 'control',
  write: breakpointRounds,
  breakpoints:
    ({ redirections }) =>
    (address) => {
      const target = redirections.find(({ entry }) => entry === address)?.target;
      return target === undefined ? undefined : { resumeAt: target };
    },
});

export const breakpointWithoutFixUp = directJump({
  name: 'breakpoint-without-fix-up',
  description: 'INT 3, tail, opcode, and no handler for the breakpoint',
  kind: 'control',
  write: breakpointRounds,
});

/** The jump in the padding that the short jump at the entry leads to, straight to the target. */
export const server2003: WriteProtocol = {
  name: 'server-2003',
  description:
    'Server 2003 SP1: a near jump in the padding straight to the new function, a short jump at the entry, both while all processors are gathered',
  kind: 'real',
  operations: ['apply'],
  steps(recording) {
    const { architecture, redirections } = recording;
    const encoder = ENCODERS[architecture];
    if (encoder === undefined || !redirections.some(({ target }) => target !== undefined)) return undefined;
    const stage = ({ place, entry, target, symbol }: Redirection): ProtocolStep[] => {
      if (target === undefined) return [];
      const padding = entry - PADDING_SIZE;
      return [
        {
          kind: 'store',
          target: 'padding',
          place,
          address: padding,
          bytes: encoder.nearJump(padding, target),
          text: `near jump in the padding of ${symbol}`,
        },
        {
          kind: 'store',
          target: 'entry',
          place,
          address: entry,
          bytes: encoder.shortJump(entry, padding),
          text: `short jump at ${symbol}`,
        },
      ];
    };
    return [
      ...recording.steps.filter(isBackward(recording)),
      gather('begin'),
      ...redirections.flatMap(stage),
      serialise,
      gather('end'),
    ];
  },
};

function gather(phase: 'begin' | 'end'): ProtocolStep {
  return {
    kind: 'rendezvous',
    phase,
    text: phase === 'begin' ? 'all processors are gathered' : 'all are let go',
  };
}
