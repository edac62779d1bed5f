import { BugCheck, Lab } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

const STATUS_INVALID_PARAMETER = 0xc000000d;

describe.each(['x64', 'arm64'] as const)('__PatchMainCallout__ on %s', (architecture) => {
  async function boot(failingPhase?: number) {
    const lab = await Lab.boot({ architecture });
    const driver = await lab.loadDriver(fixture(`${architecture}/base/callout.sys`));
    if (failingPhase !== undefined) lab.call(driver.symbol('FailCalloutInPhase'), [failingPhase]);
    const packet = lab.allocate(Uint8Array.of(1, 5, 10, 20, 30, 40, 50));
    return {
      lab,
      driver,
      load: () => lab.loadHotPatch(fixture(`${architecture}/patch/callout_hp.sys`)),
      receive: () => lab.call(driver.symbol('HandleRequest'), [packet, 2]) >>> 0,
      phases: () => lab.call(driver.symbol('CalloutPhasesSeen')),
      [Symbol.dispose]: () => lab[Symbol.dispose](),
    };
  }

  it('runs after backward and after forward application', async () => {
    using machine = await boot();
    await machine.load();
    expect(machine.phases()).toBe(0b011);
    expect(machine.receive()).toBe(STATUS_INVALID_PARAMETER);
    const kinds = machine.lab.events.map(({ kind, text }) =>
      kind === 'store' && text.includes('entry of callout!') ? 'live' : kind,
    );
    const [first, second] = kinds.flatMap((kind, index) => (kind === 'callout' ? [index] : []));
    expect(first).toBeLessThan(kinds.indexOf('live'));
    expect(second).toBeGreaterThan(kinds.lastIndexOf('live'));
  });

  it('refuses the patch cleanly in phase 0', async () => {
    using machine = await boot(0);
    const { lab, driver } = machine;
    await expect(async () => machine.load()).rejects.toThrow(/callout\.failed, STATUS_UNSUCCESSFUL/);
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
    expect(driver.hpat?.committed).toBe(false);
    expect(lab.kernel.domain.images.map((image) => image.baseDllName)).toEqual(['callout.sys']);
    expect(machine.phases()).toBe(0b001);
    expect(machine.receive()).toBe(570);
  });

  it('stops the system when it fails in phase 1', async () => {
    using machine = await boot(1);
    const stopped = await (async () => machine.load())().catch((error: unknown) => error);
    expect(stopped).toBeInstanceOf(BugCheck);
    expect((stopped as BugCheck).code).toBe(0x1a);
    expect((stopped as BugCheck).parameters[0]).toBe(0x48501bn);
  });

  it('hears in phase 2 that forward application failed', async () => {
    using machine = await boot();
    const { driver } = machine;
    failAtTheEntry(machine);
    await expect(async () => machine.load()).rejects.toThrow('no');
    expect(machine.phases()).toBe(0b101);
    expect(driver.codeBytes()).toEqual(driver.codeBytesBeforePatch);
    expect(machine.receive()).toBe(570);
  });

  it('stops the system when it fails in phase 2', async () => {
    using machine = await boot(2);
    failAtTheEntry(machine);
    const stopped = await (async () => machine.load())().catch((error: unknown) => error);
    expect((stopped as BugCheck).parameters[0]).toBe(0x48501cn);
  });

  function failAtTheEntry({ driver }: { driver: Awaited<ReturnType<typeof boot>>['driver'] }): void {
    const entry = driver.symbol('ReceivePacket');
    driver.domain.writer.beforeStore(({ into, address }) => {
      if (into === 'code' && address === entry) throw new Error('no');
    });
  }
});
