import { Lab, ModernEngine } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { observeOperations, type RequestedOperation } from '../../engine/index.js';
import { fixture } from '../support.js';
import { bench, CELLS, readFixture } from './kinds.js';

const DLL = CELLS.find(({ name }) => name === 'x64 DLL in three processes');
if (DLL === undefined) throw new Error('there is no such cell');
const dll = DLL;

/** What the observer of a kernel is told, in order. */
function told({ kernel }: Lab) {
  const operations: (RequestedOperation | undefined)[] = [];
  observeOperations(kernel, {
    perform(operation, perform) {
      operations.push(operation);
      return perform();
    },
  });
  return operations;
}

const inWords = (operation: RequestedOperation | undefined) =>
  [operation?.kind, ...(operation?.domains.map(({ name }) => name.replace(/ .*/, '')) ?? [])].join(' ');

describe('what an observer is told of an operation', () => {
  it('its kind, and where code changes', async () => {
    using machine = await bench(dll);
    const operations = told(machine.lab);
    const first = machine.load();
    const second = machine.load({ sequenceNumber: 2 });
    machine.lab.engine.unload(second);
    machine.lab.engine.unload(first);
    expect(operations.map(inWords)).toEqual([
      'apply a.exe b.exe c.exe',
      'repatch a.exe b.exe c.exe',
      'revert a.exe b.exe c.exe',
      'revert a.exe b.exe c.exe',
    ]);
  });

  it('which patch image functions lead into, whenever it asks', async () => {
    using machine = await bench(dll);
    const base = machine.places[0]?.demo;
    if (base === undefined) throw new Error('no place');
    const found: unknown[] = [];
    observeOperations(machine.lab.kernel, {
      perform(_, perform) {
        found.push(machine.lab.engine.patchOf(base));
        const result = perform();
        found.push(machine.lab.engine.patchOf(base));
        return result;
      },
    });
    const patch = machine.load();
    machine.lab.engine.unload(patch);
    const { loaded } = patch;
    expect(found).toEqual([undefined, loaded, loaded, undefined]);
  });

  it('nothing where no base changes: a patch that waits, and is given up', async () => {
    using lab = await Lab.boot({ architecture: 'x64' });
    const operations = told(lab);
    const patch = await lab.loadHotPatch(fixture('x64/patch/packets_hp.sys'));
    lab.engine.unload(patch);
    expect(operations).toEqual([undefined, undefined]);
  });

  it('and may do it itself, step by step', async () => {
    using machine = await bench(dll);
    const { lab } = machine;
    let steps = 0;
    observeOperations(lab.kernel, {
      perform(operation, perform) {
        for (const _ of operation?.steps() ?? []) steps++;
        return operation === undefined ? perform() : (lab.engine.patches[0] as ReturnType<typeof perform>);
      },
    });
    expect(machine.load().state).toBe('applied');
    expect(steps).toBeGreaterThan(100);
    for (const place of machine.places) expect(place.call('leaf_opaque')).toBe(43);
  });
});

describe('errors of a patch', () => {
  it.each([
    ['driver', undefined],
    ['session driver in three sessions', /^session \d+$/],
    ['DLL in three processes', /^a\.exe \(\d+\)$/],
  ])('of a %s name its address space when there could be several', async (kind, domain) => {
    const cell = CELLS.find(({ name }) => name === `x64 ${kind}`);
    if (cell === undefined) throw new Error('there is no such cell');
    using machine = await bench(cell);
    const [place] = machine.places;
    const entry = place?.demo.symbol('leaf_opaque') ?? 0n;
    for (const { domain: changed } of kind.startsWith('DLL') ? machine.places : machine.places.slice(0, 1))
      changed.writer.writeCode(entry, Uint8Array.of(0xcc, 0xcc));
    try {
      machine.load();
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ rule: 'record.originalBytes' });
      const named = (error as { domain?: string }).domain;
      if (domain === undefined) expect(named).toBeUndefined();
      else expect(named).toMatch(domain);
    }
  });

  it('are those of the memory where no memory was wanted', async () => {
    let error: unknown;
    let isFailing = false;
    const before = () => {
      if (!isFailing) return;
      try {
        lab.kernel.domain.addressSpace.read(0x10n, 1);
      } catch (caught) {
        error = caught;
        throw caught;
      }
    };
    using lab = await Lab.boot({ architecture: 'x64', seams: { before } });
    await lab.loadDriver(fixture('x64/base/packets.sys'));
    const engine = new ModernEngine(lab.kernel);
    const { image } = readFixture('x64/patch/packets_hp.sys');
    isFailing = true;
    try {
      engine.load(image);
      expect.unreachable();
    } catch (caught) {
      expect(caught).toBe(error);
    }
  });
});

describe('kernel code', () => {
  it('is changed by nobody where no Secure Kernel runs', async () => {
    using lab = await Lab.boot({ architecture: 'x64', vbs: false });
    const driver = await lab.loadDriver(fixture('x64/base/packets.sys'));
    expect(() => driver.domain.writer.writeCode(driver.dllBase, Uint8Array.of(0))).toThrow(
      'secureKernelNotRunning, STATUS_NOT_SUPPORTED',
    );
  });
});
