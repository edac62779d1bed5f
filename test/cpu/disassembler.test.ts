import { describe, expect, it } from 'vitest';
import { type ArchitectureName, disassemble, formatAddress, loadDisassembler } from '../../cpu/index.js';

const f = 0xfffff800_12345678n;
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const textOf = async (architecture: ArchitectureName, hex: string, at = f): Promise<string[]> =>
  (await disassemble(architecture, bytesOf(hex), at)).map(({ text }) => text);

describe('text is what WinDbg would print', () => {
  it.each<[ArchitectureName, string, string]>([
    ['x64', 'ebf9', 'jmp     fffff800`12345673'],
    ['x64', 'e900100000', 'jmp     fffff800`1234667d'],
    ['x64', 'ff25fa0f0000', 'jmp     qword ptr [fffff800`12346678]'],
    ['x64', 'ff1500000000', 'call    qword ptr [fffff800`1234567e]'],
    ['x64', '488d0d00f0ffff', 'lea     rcx,[fffff800`1234467f]'],
    ['x64', '0f84faffffff', 'je      fffff800`12345678'],
    ['x64', 'e2fe', 'loop    fffff800`12345678'],
    ['x64', '4883ec28', 'sub     rsp,28h'],
    ['x64', '48c7c0ffffffff', 'mov     rax,0FFFFFFFFFFFFFFFFh'],
    ['x64', '83f805', 'cmp     eax,5'],
    ['x64', '83f80a', 'cmp     eax,0Ah'],
    ['x64', '488b8000ffffff', 'mov     rax,qword ptr [rax-100h]'],
    ['x64', '654c8b3c2588010000', 'mov     r15,qword ptr gs:[188h]'],
    ['x64', 'ffd0', 'call    rax'],
    ['x64', 'cc', 'int     3'],
    ['x64', 'c3', 'ret'],
    ['x64', 'cd29', 'int     29h'],
    ['x64', 'f30f1efa', 'endbr64'],
    ['x64', '06', 'db      06h'],
    ['x64', 'f0', 'db      0F0h'],
    ['arm64', '10800058', 'ldr         x16,fffff800`12346678'],
    ['arm64', '00021fd6', 'br          x16'],
    ['arm64', '01000014', 'b           fffff800`1234567c'],
    ['arm64', '20000054', 'b.eq        fffff800`1234567c'],
    ['arm64', '20001836', 'tbz         w0,#3,fffff800`1234567c'],
    ['arm64', '000000b0', 'adrp        x0,fffff800`12346000'],
    ['arm64', 'fd7bbfa9', 'stp         x29,x30,[sp,#-0x10]!'],
    ['arm64', '00040091', 'add         x0,x0,#1'],
    ['arm64', '200040f9', 'ldr         x0,[x1]'],
    ['arm64', '00003ed4', 'brk         #0xf000'],
    ['arm64', '7f2303d5', 'pacibsp'],
    ['arm64', 'ffffffff', '.word       0xffffffff'],
    ['arm64', '1f20', '.byte       0x1f,0x20'],
  ])('%s %s is %s', async (architecture, hex, text) => {
    expect(await textOf(architecture, hex)).toEqual([text]);
  });

  it.each([
    ['ff2500100110', 'jmp     dword ptr [10011000]'],
    ['e900100000', 'jmp     10001005'],
    ['64a118000000', 'mov     eax,dword ptr fs:[18h]'],
    ['8b4508', 'mov     eax,dword ptr [ebp+8]'],
  ])('x86 %s is %s', async (hex, text) => {
    expect(await textOf('x86', hex, 0x10000000n)).toEqual([text]);
  });
});

describe('symbols', () => {
  const symbol = (address: bigint): string | undefined =>
    address >= f - 8n && address < f + 0x2000n
      ? `demo!f${address < f ? '-' : '+'}0x${(address < f ? f - address : address - f).toString(16)}`
      : undefined;

  it.each<[ArchitectureName, string, string]>([
    ['x64', 'ebf9', 'jmp     demo!f-0x5 (fffff800`12345673)'],
    ['x64', 'ff25fa0f0000', 'jmp     qword ptr [demo!f+0x1000 (fffff800`12346678)]'],
    ['x64', 'b8ffffffff', 'mov     eax,0FFFFFFFFh'],
    ['arm64', '10800058', 'ldr         x16,demo!f+0x1000 (fffff800`12346678)'],
  ])('%s %s is %s', async (architecture, hex, text) => {
    expect((await disassemble(architecture, bytesOf(hex), f, { symbol })).map((i) => i.text)).toEqual([text]);
  });
});

describe('bytes', () => {
  it('are covered without gaps, whatever they are', async () => {
    const bytes = bytesOf('904883ec280606cde8');
    const result = await disassemble('x64', bytes, f);
    expect(result.map(({ address, length }) => [address - f, length])).toEqual([
      [0n, 1],
      [1n, 4],
      [5n, 1],
      [6n, 1],
      [7n, 2],
    ]);
    expect(Buffer.concat(result.map((i) => i.bytes))).toEqual(Buffer.from(bytes));
  });

  it('are read up to count instructions', async () => {
    expect(await disassemble('x64', bytesOf('9090909090'), f, { count: 2 })).toHaveLength(2);
    expect(await disassemble('x64', bytesOf('0606909090'), f, { count: 4 })).toHaveLength(4);
    expect(await disassemble('x64', bytesOf('9090'), f, { count: 0 })).toEqual([]);
    expect(await disassemble('arm64', new Uint8Array(0), f)).toEqual([]);
  });

  it('may wrap around the end of the address space', async () => {
    const [first, second] = await disassemble('x64', bytesOf('9090'), 0xffffffff_ffffffffn);
    expect([first?.address, second?.address]).toEqual([0xffffffff_ffffffffn, 0n]);
    expect((await disassemble('x86', bytesOf('9090'), 0xffffffffn))[1]?.address).toBe(0n);
  });
});

it('works synchronously once it is loaded', async () => {
  const now = await loadDisassembler();
  expect(now('x64', bytesOf('c3'), f)[0]?.text).toBe('ret');
  expect(await loadDisassembler()).toBe(now);
});

it.each<[ArchitectureName, bigint, string]>([
  ['x64', f, 'fffff800`12345678'],
  ['arm64', 0x7ff6_0000_1000n, '00007ff6`00001000'],
  ['x86', 0x401000n, '00401000'],
])('formats an address of %s', (architecture, address, text) => {
  expect(formatAddress(architecture, address)).toBe(text);
});
