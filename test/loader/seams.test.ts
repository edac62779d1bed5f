import { describe, expect, it } from 'vitest';
import {
  type BootSeams,
  defineExport,
  type GuestFunctionCall,
  type ImageWriter,
  type KernelRequest,
} from '../../loader/index.js';
import { ARCHITECTURES, boot, described } from './support.js';

describe.each(ARCHITECTURES)('seams of a kernel on %s', (architecture) => {
  it('tell of each call of a guest function before it is made, and who makes it', () => {
    using kernel = boot(architecture);
    const told: string[] = [];
    const listener = kernel.onCall(({ target, domain, initiator }: GuestFunctionCall) => {
      told.push(`${initiator}: ${domain.imageAt(target)?.describe(target) ?? 'none'}`);
    });
    const [image, options] = described(`${architecture}/base/demo.dll`);
    const demo = kernel.loadImage(image, options);
    expect(told.length).toBeGreaterThan(0);
    expect(told.every((text) => text.startsWith('loader: '))).toBe(true);
    told.length = 0;
    const leaf = demo.symbol('leaf_opaque');
    kernel.call(leaf);
    kernel.createThread(leaf, [], { domain: demo.domain });
    expect(told).toEqual(['caller: demo!leaf_opaque', 'caller: demo!leaf_opaque']);
    listener[Symbol.dispose]();
    kernel.call(leaf);
    expect(told).toHaveLength(2);
  });

  it('hand every place its writer', () => {
    const places: string[] = [];
    const stores: bigint[] = [];
    const writer = (own: ImageWriter, place: { readonly name: string }): ImageWriter => {
      places.push(place.name);
      return {
        codeWriter: own.codeWriter,
        dataWriter: own.dataWriter,
        writeCode: (address, bytes) => own.writeCode(address, bytes),
        writeCodeAsKernel: (address, bytes) => own.writeCodeAsKernel(address, bytes),
        beforeStore: (listener) => own.beforeStore(listener),
        writeData: (address, bytes) => {
          stores.push(address);
          own.writeData(address, bytes);
        },
      };
    };
    using kernel = boot(architecture, { seams: { writer } });
    const process = kernel.createProcess({ name: 'mail.exe' });
    kernel.createSession();
    expect(new Set(places)).toEqual(new Set(kernel.domains.map(({ name }) => name)));
    const [image, options] = described(`${architecture}/base/demo.dll`);
    const demo = process.loadImage(image, options);
    const section = demo.writableSections[0];
    const address = demo.address(section?.virtualAddress ?? 0);
    process.domain.writer.writeData(address, Uint8Array.of(7));
    expect(stores).toEqual([address]);
    expect(process.addressSpace.readU8(address)).toBe(7);
  });

  it.each<KernelRequest['kind']>(['page', 'addressSpace', 'gatherProcessors'])(
    'refuse a request: %s',
    (kind) => {
      let isRefusing = false;
      const refusal = new Error('refused');
      const seams: BootSeams = {
        before: (request) => {
          if (isRefusing && request.kind === kind) throw refusal;
        },
      };
      using kernel = boot(architecture, { seams });
      const request = () =>
        kind === 'gatherProcessors'
          ? kernel.gatherProcessors()[Symbol.dispose]()
          : kernel.domain.addressSpace.writeU8(kernel.domain.allocateMemory('pool', 0x1000), 1);
      request();
      isRefusing = true;
      expect(request).toThrow(refusal);
      isRefusing = false;
      request();
    },
  );

  it('stand before the calls that somebody makes', () => {
    const seams: BootSeams = { call: (call, perform) => perform(call.target) + 1n };
    using kernel = boot(architecture, { seams });
    const [image, options] = described(`${architecture}/base/demo.dll`);
    const demo = kernel.loadImage(image, options);
    const thread = kernel.callThread(demo.symbol('leaf_opaque'));
    expect(kernel.call(demo.symbol('leaf_opaque'))).toBe((thread.result ?? 0) + 1);
  });
});

describe('slices of threads', () => {
  it('are run by everyone who uses the scheduler, the newest first, and watched from outside', () => {
    using kernel = boot('x64');
    kernel.services.define({ name: 'ntoskrnl.exe', exports: [defineExport('Nothing', [], () => 0)] });
    const nothing = kernel.services.address('ntoskrnl.exe', 'Nothing');
    const told: string[] = [];
    const runner = (name: string) =>
      kernel.scheduler.use({
        runSlice: (_thread, _processor, options, run) => {
          told.push(`${name} begins`);
          const exit = run(options);
          told.push(`${name} ends`);
          return exit;
        },
      });
    const first = runner('first');
    using _second = runner('second');
    const watching = kernel.scheduler.watch({
      sliceBegins: () => void told.push('slice'),
      sliceEnds: (_thread, _processor, exit) => void told.push(exit.reason),
    });
    kernel.call(nothing);
    const slice = (end: string) => [
      'slice',
      'second begins',
      'first begins',
      'first ends',
      'second ends',
      end,
    ];
    expect(told).toEqual([...slice('serviceCall'), ...slice('returned')]);
    told.length = 0;
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    watching[Symbol.dispose]();
    kernel.call(nothing);
    expect(told).toEqual(['second begins', 'second ends', 'second begins', 'second ends']);
  });
});
