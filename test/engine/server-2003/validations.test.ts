import { HOOK_TYPE, type Hotp1Input } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { buildPatch, type Draft, type Running, run } from './support.js';

function only<T>(list: readonly T[]): T {
  const [one, ...others] = list;
  if (one === undefined || others.length > 0) throw new Error(`one is wanted, not ${list.length}`);
  return one;
}

const start = () => run({ processor: 'x64', processes: 1 });

function load({ engine, target }: Running, section: (draft: Draft) => Hotp1Input) {
  return engine.load(buildPatch(target, { processor: 'x64', section }));
}

describe('validations', () => {
  const WRONG = Uint8Array.of(0x8b, 0xfe);
  it('of one hook are left out as long as no hook names them', async () => {
    using running = await start();
    const { target } = running;
    const extra = { source: WRONG, targetRva: target.rva('f'), optionFlags: 1 };
    const section = ({ good }: Draft, validation?: number) => ({
      ...good,
      validations: [...(good.validations ?? []), extra],
      hooks: good.hooks.map((hook, index) =>
        index === 1 && validation !== undefined ? { ...hook, validation } : hook,
      ),
    });
    expect(() => load(running, (draft) => section(draft, 2))).toThrow(
      /validation 2, of hook 1: target!f\+0x1 holds ff, expected fe/,
    );
    expect(load(running, (draft) => section(draft)).state).toBe('applied');
  });

  it('of all say nothing of a hook, even if one names them', async () => {
    using running = await start();
    const { target } = running;
    const apply = () =>
      load(running, ({ good }) => ({
        ...good,
        validations: [{ source: WRONG, targetRva: target.rva('f') }],
        hooks: good.hooks.map((hook) => ({ ...hook, validation: 0 })),
      }));
    expect(apply).toThrow(/validation 0: target!f\+0x1 holds ff/);
  });

  /** Offsets from the entry, whose two bytes and the five before it an older hotpatch has changed. */
  const PARTS = [
    { from: -6, to: -5 },
    { from: -6, to: -4 },
    { from: -3, to: -1 },
    { from: -1, to: 1 },
    { from: 1, to: 2 },
    { from: 1, to: 4 },
    { from: 2, to: 3 },
    { from: -6, to: 8 },
  ];
  it.each(PARTS)('see the file’s bytes from f$from to f$to under an older hotpatch', async ({ from, to }) => {
    using running = await start();
    const { target } = running;
    load(running, ({ good }) => good);
    const range = { targetRva: target.rva('f') + from, length: to - from };
    const source = target.image.read(range.targetRva, range.length);
    const apply = (bytes: Uint8Array) =>
      load(running, ({ good }) => ({
        ...good,
        validations: [{ source: bytes, targetRva: range.targetRva }],
      }));
    for (const index of [0, range.length - 1]) {
      const wrong = source.map((byte, i) => (i === index ? byte ^ 1 : byte));
      expect(() => apply(wrong)).toThrow('validation.bytes');
    }
    expect(apply(source).state).toBe('applied');
  });

  it('see what an older hotpatch made of data', async () => {
    using running = await start();
    const { target } = running;
    const hookRva = target.rva('counter');
    const section =
      (source: Uint8Array) =>
      ({ good, layout }: Draft) => ({
        ...good,
        validations: [{ source, targetRva: hookRva }],
        hooks: [{ type: HOOK_TYPE.VA64, hookRva, hotpRva: layout.rva('g') }],
      });
    const pointer = () =>
      only(running.loaded).domain.addressSpace.read(only(running.loaded).address(hookRva), 8);
    const old = pointer();
    load(running, section(old));
    expect(() => load(running, section(old))).toThrow('validation.bytes');
    expect(load(running, section(pointer())).state).toBe('applied');
  });
});
