import { describe, expect, test } from 'vitest';
import {
  type ArchitectureName,
  type Exit,
  InstructionRecorder,
  instructionLength,
  type PageProtection,
  randomNumbers,
} from '../../../cpu/index.js';
import { ARCHITECTURE_NAMES, Guest } from './guest.js';

type Counting = 'blocks' | 'instructions';

interface Vocabulary {
  readonly prologue: readonly string[];
  readonly ordinary: readonly string[];
  /** What ends a block, stops the engine, is emulated, faults or changes code: the sled, where all of it is a nop. */
  readonly special: readonly string[];
  /** To `{label}` while the fuel lasts. */
  readonly back: string;
  readonly forward: readonly string[];
  readonly call: string;
  readonly leaf: readonly string[];
  readonly sled: readonly string[];
  readonly end: string;
}

const x86 = (wide: boolean): Vocabulary => {
  const r = (name: string) => (wide ? `r${name}` : `e${name}`);
  const data = `[${r('si')} + 0x40]`;
  return {
    prologue: wide
      ? ['mov rsi, rdx', 'mov rdi, r8', 'mov ebp, ecx', 'xor ebx, ebx']
      : ['mov ebp, [esp + 4]', 'mov esi, [esp + 8]', 'mov edi, [esp + 12]', 'xor ebx, ebx'],
    ordinary: [
      'add eax, 7',
      `xor ${r('ax')}, ${r('bx')}`,
      'imul eax, ebx, 13',
      `lea ${r('bx')}, [${r('ax')} + ${r('bx')} * 2 + 1]`,
      `mov ${data}, eax`,
      `add ebx, ${data}`,
      `push ${r('ax')}\npop ${r('bx')}`,
      'cmp eax, ebx\nsete al',
      'nop',
      'shr ebx, 3',
    ],
    special: [
      'rdtsc',
      'pushfd_or_q',
      `mov ecx, 5\nrep stosb`,
      `push ${r('si')}\nmov ecx, 9\nrep lodsb\npop ${r('si')}`,
      `mov ecx, 0\nrep stosb`,
      `mov eax, [${r('di')} + 0x3000]`,
      'pause',
      'int3',
      'ud2',
      'int 0x29',
      'xor edx, edx\nxor ecx, ecx\ndiv ecx',
      `lock cmpxchg ${data}, ebx`,
      `mov ${r('cx')}, {sled}\nmov byte ptr [${r('cx')}], 0x40\ncall sled`,
      `mov ${r('cx')}, {sled}\nmov byte ptr [${r('cx')} + 1], 0x90\ncall sled`,
      `mov ${r('cx')}, {sled}\nmov al, [${r('cx')}]`,
      'cpuid\nxor ebx, ebx',
    ].map((text) => text.replace('pushfd_or_q', wide ? 'pushfq\npopfq' : 'pushfd\npopfd')),
    back: 'dec ebp\njnz {label}\nmov ebp, 1',
    forward: ['test eax, 4\njz {label}', 'cmp bl, 77\nja {label}', 'jmp {label}'],
    call: 'call leaf{n}',
    leaf: ['inc eax', 'ret'],
    sled: ['nop', 'nop', 'inc eax', 'ret'],
    end: 'ret',
  };
};

const arm64: Vocabulary = {
  prologue: ['mov x20, x0', 'mov x21, x1', 'mov x22, x2', 'mov x23, x30', 'mov x9, #0', 'mov x10, #3'],
  ordinary: [
    'add x9, x9, #7',
    'eor x10, x9, x10',
    'mul x9, x10, x9',
    'str x9, [x21, #64]',
    'ldr x10, [x21, #64]',
    'lsr x10, x10, #3',
    'cmp x9, x10\ncset x11, eq',
    'nop',
    'stp x9, x10, [sp, #-16]!\nldp x10, x9, [sp], #16',
  ],
  special: [
    'mrs x9, cntvct_el0',
    'strb w9, [x22], #1',
    'mov x12, #0x3000\nldr x9, [x22, x12]',
    'yield',
    'brk #3',
    '.word 0',
    'svc #5',
    'isb',
    'ldxr x9, [x21]\nstxr w12, x10, [x21]',
    'adr x12, sled\nldr w9, [x12]',
    'adr x12, sled\nldr w13, [x12, #4]\nstr w13, [x12]\nbl sled',
    'wfe',
  ],
  back: 'subs x20, x20, #1\nb.ne {label}\nmov x20, #1',
  forward: ['tbz x9, #2, {label}', 'cmp x10, #77\nb.hi {label}', 'b {label}'],
  call: 'bl leaf{n}',
  leaf: ['add x9, x9, #1', 'ret'],
  sled: ['add x9, x9, #3', 'add x9, x9, #5', 'ret'],
  end: 'mov x30, x23\nret',
};

const VOCABULARY: Readonly<Record<ArchitectureName, Vocabulary>> = { x64: x86(true), x86: x86(false), arm64 };

/** Offset of the sled in the program, and more than the rest of it takes. */
const SLED = 0x400;
const BLOCKS = 14;
const LEAVES = 3;

/** A program that loops backwards while its fuel lasts, and may do anything on the way. */
function program(words: Vocabulary, seed: number, sled: bigint): string {
  const random = randomNumbers(seed);
  const pick = (from: readonly string[]): string => from[random() % from.length] ?? '';
  const lines: string[] = [...words.prologue];
  for (let block = 0; block < BLOCKS; block++) {
    lines.push(`block${block}:`);
    for (let count = random() % 6; count >= 0; count--) lines.push(pick(words.ordinary));
    if (random() % 4 === 0) lines.push(pick(words.special).replace('{sled}', `0x${sled.toString(16)}`));
    const kind = random() % 4;
    if (kind === 0) lines.push(words.back.replace('{label}', `block${random() % (block + 1)}`));
    else if (kind === 1) {
      const target = block + 1 + (random() % (BLOCKS - block));
      lines.push(pick(words.forward).replace('{label}', target >= BLOCKS ? 'end' : `block${target}`));
    } else if (kind === 2) lines.push(words.call.replace('{n}', `${random() % LEAVES}`));
  }
  lines.push(words.back.replace('{label}', 'block0'), 'end:', words.end);
  for (let leaf = 0; leaf < LEAVES; leaf++) lines.push(`leaf${leaf}:`, ...words.leaf);
  return [...lines, `.balign ${SLED}`, 'sled:', ...words.sled].join('\n');
}

/** Goes on behind what stopped the run, as a debugger would; undefined: nothing can. */
function goOn(guest: Guest, exit: Exit): boolean {
  const { processor, space, architecture } = guest;
  if (exit.reason === 'instructionLimit' || exit.reason === 'halted' || exit.reason === 'systemCall')
    return true;
  if (exit.reason === 'breakpoint') return true;
  if (exit.reason !== 'fault' && exit.reason !== 'exception') return false;
  const at = exit.reason === 'fault' ? exit.fault.instruction : exit.instruction;
  if (processor.pc !== at) return true;
  if (space.query(at).state !== 'committed') return false;
  processor.pc = at + BigInt(instructionLength(architecture.name, space.read(at, 15), at));
  return true;
}

interface Outcome {
  readonly story: readonly string[];
  readonly trace: readonly bigint[];
  readonly hash: string;
  readonly time: number;
}

const LIMITS = [Number.POSITIVE_INFINITY, 1, 7, 999, 1000, 1001, 2500, 10_000, Number.POSITIVE_INFINITY];

async function execute(
  architecture: ArchitectureName,
  seed: number,
  counting: Counting,
  protection: PageProtection,
  isTraced = false,
): Promise<Outcome> {
  using guest = new Guest(architecture, { counting });
  const trace: bigint[] = [];
  const { machine, processor, space } = guest;
  const target = await guest.code(
    program(VOCABULARY[architecture], seed, guest.base + BigInt(SLED)),
    protection,
  );
  const zeroes = guest.data + 0x4000n;
  guest.table.commit(zeroes, 2, 'PAGE_READWRITE');
  const story: string[] = [];
  const recorder = isTraced && counting === 'blocks' ? new InstructionRecorder(processor) : undefined;
  // An instruction that faults and restarts is seen twice, one that is emulated in the piece before.
  let held: bigint[] = [];
  let seen: bigint[] = [];
  if (isTraced && counting === 'instructions')
    processor.observe({
      instruction: (address) => seen.push(address),
      segment: (completed) => {
        const executed = seen.length < completed ? [...held, ...seen] : seen;
        trace.push(...executed.slice(0, completed));
        held = seen.slice(completed);
        seen = [];
      },
    });
  const random = randomNumbers(seed + 1);
  guest.prepare(target, [600n, guest.data, zeroes]);
  for (let turn = 0; turn < 60; turn++) {
    const instructions = LIMITS[random() % LIMITS.length] ?? 1;
    const breakpoints = random() % 5 === 0 ? [target + BigInt((random() % 0x100) & ~3)] : [];
    const exit = processor.run({ instructions, breakpoints });
    // An engine that counts each instruction loses flags where a memory access faults.
    if (exit.reason === 'fault') processor.set(architecture === 'arm64' ? 'nzcv' : 'rflags', 2n);
    story.push(
      `${JSON.stringify(exit, (_, value) => (typeof value === 'bigint' ? `${value}` : value))} ${processor.pc}`,
    );
    story.push([...processor.generalRegisters()].join());
    if (random() % 16 === 0) machine.writeCode(space, target + 0x100n, space.read(target + 0x100n, 4));
    if (random() % 16 === 0) machine.restore(machine.snapshot());
    if (!goOn(guest, exit)) break;
  }
  for (const address of recorder?.take() ?? []) trace.push(address);
  return { story, trace, hash: machine.hash(), time: machine.time };
}

const SEEDS = Array.from({ length: 8 }, (_, seed) => seed * 7919 + 1);

describe.each(ARCHITECTURE_NAMES)('random programs on %s', (architecture) => {
  test.each(['PAGE_EXECUTE_READ', 'PAGE_EXECUTE_READWRITE'] as const)(
    'do the same whether instructions or blocks are counted, in pages of %s',
    async (protection) => {
      const reasons = new Set<string>();
      for (const seed of SEEDS) {
        const counted = await execute(architecture, seed, 'instructions', protection);
        const blocks = await execute(architecture, seed, 'blocks', protection);
        expect(blocks.story, `seed ${seed}`).toEqual(counted.story);
        expect(blocks, `seed ${seed}`).toEqual(counted);
        for (const line of counted.story) reasons.add(/"reason":"(\w+)"/.exec(line)?.[1] ?? '');
      }
      if (protection === 'PAGE_EXECUTE_READ')
        expect([...reasons]).toEqual(
          expect.arrayContaining(['returned', 'instructionLimit', 'breakpoint', 'exception', 'fault']),
        );
    },
  );

  test('are recorded by blocks as an observer of every instruction sees them', async () => {
    for (const seed of SEEDS.slice(0, 4)) {
      const observed = await execute(architecture, seed, 'instructions', 'PAGE_EXECUTE_READ', true);
      const recorded = await execute(architecture, seed, 'blocks', 'PAGE_EXECUTE_READ', true);
      expect(recorded.trace.length, `seed ${seed}`).toBe(observed.time);
      expect(recorded, `seed ${seed}`).toEqual(observed);
    }
  });
});
