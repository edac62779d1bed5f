import { describe, expect, it } from 'vitest';
import { explore, type Shape, type SubjectSource, shapeSubject, windows } from '../../proof/index.js';

/** A function that has: rbx takes a lock, rsi gives it back; rdi and r12 are locks, r13 a counter. */
const body = (...lines: readonly string[]) => [
  `sub rsp, 40; ${lines.join('; ')}; mov eax, 7; add rsp, 40; ret`,
];
const take = (lock: 'rdi' | 'r12') => `mov rcx, ${lock}; call rbx`;
const give = (lock: 'rdi' | 'r12') => `mov rcx, ${lock}; xor edx, edx; call rsi`;
/** Two counters, which are equal as long as nothing is lost. */
const count = (amount: number) =>
  [0, 4].map((at) => `mov eax, [r13+${at}]; add eax, ${amount}; mov [r13+${at}], eax`).join('; ');

const CALLER = {
  name: 'caller',
  code: [
    'push rbx; push rsi; push rdi; push r12; push r13; sub rsp, 32; mov rbx, rcx; mov rsi, rdx; mov rdi, r8; mov r12, r9; mov r13, [r8+128]',
    { call: 'f' },
    'add rsp, 32; pop r13; pop r12; pop rdi; pop rsi; pop rbx; ret',
  ],
};

function locking(f: readonly string[], g: readonly string[]): Shape {
  const patch = { functions: [{ name: 'g', code: g }], forward: { f: 'g' } };
  return {
    name: 'x64, processors that take locks',
    architecture: 'x64',
    base: [{ name: 'f', code: f }, CALLER],
    patches: [patch, patch],
    call: 'caller',
    arguments: [],
    results: [7, 7, 7],
  };
}

/** Exports that take a lock, give it back; both in one module. */
interface Locks {
  readonly module: string;
  readonly take: string;
  readonly give: string;
  /** Export that is passed in place of the second lock. */
  readonly second?: string;
}
const CRITICAL_SECTION: Locks = {
  module: 'kernel32.dll',
  take: 'EnterCriticalSection',
  give: 'LeaveCriticalSection',
};
const SRW_LOCK: Locks = {
  module: 'kernel32.dll',
  take: 'AcquireSRWLockExclusive',
  give: 'ReleaseSRWLockExclusive',
};
const SPIN_LOCK: Locks = {
  module: 'ntoskrnl.exe',
  take: 'KeAcquireSpinLockAtDpcLevel',
  give: 'KeReleaseSpinLockFromDpcLevel',
};

const RAISING: Locks = {
  module: 'ntoskrnl.exe',
  take: 'KeAcquireSpinLockRaiseToDpc',
  give: 'KeReleaseSpinLock',
  second: 'KeGetCurrentIrql',
};

/** All processors make the call in one process, or in the kernel, with two locks of their own page. */
async function subject(
  shape: Shape,
  { module, take, give, second }: Locks = CRITICAL_SECTION,
): Promise<SubjectSource> {
  const isKernel = module === 'ntoskrnl.exe';
  const source = await shapeSubject(shape, 'apply', {}, isKernel ? 'kernel' : 'processes');
  return {
    ...source,
    roles: 1,
    create: async (options) => {
      const made = await source.create(options);
      const [call] = made.calls;
      const domain = made.lab.kernel.domains.find(({ name }) => name === call.place);
      const [enter, leave] = [take, give].map((name) => domain?.services.resolve(module, name));
      if (domain === undefined || enter === undefined || leave === undefined) throw new Error('no locks');
      const locks = domain.allocateMemory('pool', 256);
      domain.addressSpace.write(locks, new Uint8Array(256));
      const image = domain.imageAt(call.target);
      const [data] = image?.writableSections ?? [];
      domain.addressSpace.writeU64(locks + 128n, image?.address(data?.virtualAddress ?? 0) ?? 0n);
      return {
        ...made,
        [Symbol.dispose]: () => made[Symbol.dispose](),
        calls: [
          {
            ...call,
            arguments: [
              enter,
              leave,
              locks,
              second === undefined ? locks + 64n : (domain.services.resolve(module, second) ?? 0n),
            ],
          },
        ],
      };
    },
  };
}

const inOrder = (amount: number) => body(take('rdi'), take('r12'), count(amount), give('r12'), give('rdi'));
const inTheOtherOrder = body(take('r12'), take('rdi'), count(16), give('rdi'), give('r12'));
const twice = { protocol: windows, processors: 2, calls: 1 } as const;

describe('processors that wait for each other', () => {
  it.each([
    ['critical sections', CRITICAL_SECTION],
    ['slim locks', SRW_LOCK],
    ['spin locks', SPIN_LOCK],
  ])('%s: who waits is no violation, and no count is lost', async (_, locks) => {
    const one = (amount: number) => body(take('rdi'), count(amount), give('rdi'));
    const result = await explore(await subject(locking(one(1), one(16)), locks), twice);
    expect(result).toMatchObject({ complete: true, violations: [] });
    // No call, one or two, each by the old or the new code: 0, 1, 16, 2, 17, 32.
    expect(result?.outcomes.final).toHaveLength(6);
  });

  it('without a lock counts are lost', async () => {
    const one = (amount: number) => body(count(amount), take('rdi'), give('rdi'));
    const result = await explore(await subject(locking(one(1), one(16))), twice);
    expect(result).toMatchObject({ complete: true, violations: [] });
    // One of the two counters may have lost what the other has not.
    expect(result?.outcomes.final.length).toBeGreaterThan(6);
  });

  it.each(['coherent', 'weak'] as const)(
    'two locks that old and new code take in the same order, %s fetch',
    async (fetch) => {
      const result = await explore(await subject(locking(inOrder(1), inOrder(16))), { ...twice, fetch });
      expect(result).toMatchObject({ complete: true, violations: [] });
    },
  );

  it('two locks that new code takes in another order: each waits for the other', async () => {
    const result = await explore(await subject(locking(inOrder(1), inTheOtherOrder)), twice);
    expect(result?.violations.map(({ rule }) => rule)).toEqual(['deadlock']);
    expect(result?.violations[0]?.text).toMatch(/^nobody can end a wait for the critical section at /);
    // Both have taken one: one processor before the entry was changed, the other one after.
    const actors = new Set(
      result?.violations[0]?.schedule.actions.map(({ actor, ...rest }) =>
        actor === 'processor' && 'processor' in rest ? `${actor} ${rest.processor}` : actor,
      ),
    );
    expect(actors).toEqual(new Set(['engine', 'processor 0', 'processor 1']));
  });

  it('a lock that raises the IRQL raises it for who has it, as long as it has it', async () => {
    const code = (amount: number) => [
      `sub rsp, 40; call r12; mov [rsp+32], eax; ${take('rdi')}; ${count(amount)}; ${give('rdi')}; mov eax, [rsp+32]; add eax, 7; add rsp, 40; ret`,
    ];
    const result = await explore(await subject(locking(code(1), code(16)), RAISING), { ...twice, calls: 2 });
    expect(result).toMatchObject({ complete: true, violations: [] });
    expect(result?.outcomes.results).toEqual(['after: 7 in system', 'during: 7 in system']);
  });

  it('one processor by itself is not in its own way', async () => {
    const result = await explore(await subject(locking(inOrder(1), inTheOtherOrder)), {
      ...twice,
      processors: 1,
    });
    expect(result).toMatchObject({ complete: true, violations: [] });
  });

  it('a lock that new code keeps is found: the next processor waits for ever', async () => {
    const kept = body(take('rdi'), count(16));
    const result = await explore(
      await subject(locking(body(take('rdi'), count(1), give('rdi')), kept)),
      twice,
    );
    expect(result?.violations.map(({ rule }) => rule)).toEqual(['deadlock']);
  });

  it('a lock without owner that a thread takes twice is refused before: the call does not return alone', async () => {
    const again = body(take('rdi'), take('rdi'), give('rdi'));
    await expect(explore(await subject(locking(again, again), SRW_LOCK), twice)).rejects.toThrow(
      /does not return when it runs alone: it waits for the exclusive lock at /,
    );
  });
});
