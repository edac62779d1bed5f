import { type Lab, runScenario } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { Coverage, eventLine, TenetTrace } from '../../debugger/index.js';
import { type Architecture, demoScenario } from './debug.js';

const architectures: readonly Architecture[] = ['x64', 'arm64', 'x86'];

/** The transcript of a run that something is attached to, and that it is the one of a plain run. */
async function runWith(architecture: Architecture, attach: (lab: Lab) => void): Promise<void> {
  const plain = await runScenario(demoScenario(architecture));
  const { transcript, error } = await runScenario(demoScenario(architecture), { onBoot: attach });
  expect(error).toBeUndefined();
  expect(transcript).toEqual(plain.transcript);
}

describe.each(architectures)('exports on %s', (architecture) => {
  it('drcov: base and patch functions, the HPAT, and nothing that was not executed', async () => {
    const coverage = new Coverage();
    await runWith(architecture, (lab) => coverage.attach(lab));
    const covered = (name: string, symbol: string) => {
      for (const [image, blocks] of coverage.images) {
        const rva = image.moduleName === name ? image.symbols.byName(symbol)?.rva : undefined;
        if (rva !== undefined)
          return blocks.some((block) => rva >= block.rva && rva < block.rva + block.size);
      }
      return undefined;
    };
    expect(covered('demo', 'dispatch')).toBe(true);
    expect(covered('demo_hp', 'dispatch')).toBe(true);
    expect(covered('demo_hp', 'new_helper')).toBe(true);
    expect(covered('demo', 'op_sub')).toBe(false);
    const inHpat = [...coverage.images].flatMap(([image, blocks]) =>
      blocks.filter(({ rva }) => image.hpat?.contains(image.address(rva))),
    );
    expect(inHpat.length).toBeGreaterThan(0);

    const file = Buffer.from(coverage.toDrcov());
    const text = file.toString('latin1');
    expect(text).toMatch(/^DRCOV VERSION: 2\nDRCOV FLAVOR: drcov-64\nModule Table: version 2, count 3\n/);
    const [head = '', count = ''] = /^.*BB Table: (\d+) bbs\n/s.exec(text) ?? [];
    expect(file.length - head.length).toBe(Number(count) * 8);
  });

  it('Tenet: one line an instruction, whose program counters are those that were executed', async () => {
    const traces = new TenetTrace();
    await runWith(architecture, (lab) => traces.attach(lab));
    for (const [thread, text] of traces.threads) {
      const lines = text.trimEnd().split('\n');
      expect(lines.length).toBe(thread.instructions + 1);
      expect(lines[0]).toContain(
        `${thread.architecture.programCounter}=0x${thread.startAddress.toString(16)}`,
      );
      if (thread.name === 'thread')
        expect(lines.some((line) => /mw=0x[0-9a-f]+:([0-9a-f]{2})+/.test(line))).toBe(true);
    }
  });
});

describe('events as JSON lines', () => {
  it('keep every field, 64-bit values and bytes as hexadecimal', async () => {
    const { transcript } = await runScenario(demoScenario('x64'));
    const events = transcript.map((event) => JSON.parse(eventLine(event)) as Record<string, unknown>);
    expect(events.map(({ text }) => text)).toEqual(transcript.map(({ text }) => text));
    expect(events.find(({ target }) => target === 'entry')).toMatchObject({
      kind: 'store',
      writer: 'SecureKernel',
      address: expect.stringMatching(/^0xfffff800[0-9a-f]{8}$/),
      bytes: 'ebf9',
    });
  });
});
