import { readFileSync } from 'node:fs';
import { isLabError, Lab } from 'hotpatch-lab';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { fixture } from '../support.js';

/**
 * Every public member of what a lab is made of, called when it is too late: only errors with a rule and a place, or an
 * image, may come out.
 */

const ARCHITECTURES = ['x64', 'arm64', 'x86'] as const;
type Name = (typeof ARCHITECTURES)[number];
/** Machines whose drivers run in the kernel. */
const KERNELS: readonly Name[] = ['x64', 'arm64'];

type World = ReturnType<typeof world>;

function world(architecture: Name) {
  const lab = Lab.boot({ architecture });
  const path = (name: string) => fixture(`${architecture}/${name}`);
  const hasKernelDrivers = KERNELS.includes(architecture);
  lab.addFile(path('hpimport.dll'));
  const process = lab.createProcess('a.exe');
  const dll = lab.loadDll(process, path('base/demo.dll'));
  lab.loadImage(path('base/notes.sys'));
  const driver = hasKernelDrivers ? lab.loadDriver(path('base/packets.sys')) : undefined;
  const session = lab.createSession();
  const sessionDriver = hasKernelDrivers
    ? lab.loadSessionDriver(session, path('base/callout.sys'))
    : undefined;
  const patch = lab.loadHotPatch(path('patch/demo_hp.dll'));
  const started = process.createThread(dll.symbol('leaf_opaque'));
  lab.run({ until: started.reaches(dll.symbol('leaf_opaque')) });
  const thread = process.createThread(dll.symbol('leaf_opaque'));
  const device = lab.open('\\\\.\\Notes');
  const { kernel, engine } = lab;
  const { domain } = process;
  const objects = { lab, kernel, engine, process, session, domain, dll, patch, started, thread, device };
  return { ...objects, path, driver, sessionDriver, hpat: dll.hpat, events: lab.events.length };
}

const read = (file: string) => readImage(new Uint8Array(readFileSync(file)), { file });
const nothing = () => undefined;

/** What each member with parameters is called with. */
function argumentsFor(w: World): Record<string, readonly unknown[]> {
  const { path, process, session, dll, patch, thread } = w;
  const code = dll.symbol('leaf_opaque');
  const demo = read(path('base/demo.dll'));
  const demoPatch = read(path('patch/demo_hp.dll'));
  const calls = { call: [code], call64: [code] };
  const named = (prefix: string, table: Record<string, readonly unknown[]>) =>
    Object.fromEntries(Object.entries(table).map(([name, values]) => [`${prefix}.${name}`, values]));
  const ofImage = {
    contains: [0n],
    isExtension: [0n],
    address: [16],
    rva: [dll.dllBase],
    symbol: ['DllMain'],
    exportRva: ['hp_entry'],
    readPointer: [0x1000],
    writePointer: [0x3000, 0n],
    describe: [dll.dllBase],
    describeCode: [dll.dllBase],
  };
  const ofThread = {
    end: [0n],
    reaches: [code],
    register: [thread.architecture.programCounter],
    attach: [w.kernel.machine.processor(0)],
    wake: [0n],
    growStack: [0n],
    describe: [code],
    describeCode: [code],
  };
  return {
    ...named('lab', {
      ...calls,
      loadDriver: [path('base/callout.sys')],
      loadImage: [path('base/callout.sys')],
      createProcess: ['c.exe'],
      addFile: [path('hpimport.dll')],
      loadDll: [process, path('base/demo.dll')],
      loadSessionDriver: [session, path('base/packets.sys')],
      loadSecureImage: [path('hpimport.dll')],
      loadHotPatch: [path('patch/demo_hp.dll')],
      unloadHotPatch: [patch],
      startThread: [code],
      open: ['\\\\.\\Notes'],
      allocate: ['text', { domain: process }],
      allocateCode: [Uint8Array.of(0xc3, 0, 0, 0), { domain: process }],
      address: ['demo!leaf_opaque'],
      describe: [code],
      disassemble: [code, 2],
      listing: [code, 2],
    }),
    ...named('kernel', {
      ...calls,
      imagesOf: [{ checkSum: 0, timeDateStamp: 0 }],
      loadImage: [demo],
      unloadImage: [dll],
      onImageLoad: [nothing],
      onImageUnload: [nothing],
      createProcess: [{ name: 'd.exe' }],
      attachSession: [session],
      createThread: [code],
      destroyThread: [thread],
      callThread: [code],
      onCall: [nothing],
      rendezvous: [nothing],
      domainOf: [code],
      describe: [code],
    }),
    ...named('engine', {
      registerBootPatches: [[{ image: demoPatch }]],
      record: [dll],
      load: [demoPatch],
      loadSteps: [demoPatch],
      unload: [patch],
      unloadSteps: [patch],
      applyImagePatch: [dll, patch.loaded ?? dll, 1],
      registeredFor: [dll],
      patchOf: [dll],
      unloadAll: [dll],
      holdersOf: [patch],
      unmapPatch: [patch],
    }),
    ...named('process', {
      ...calls,
      loadImage: [demo],
      unloadImage: [dll],
      findImage: ['demo'],
      allocateHeap: [thread, 16],
      createThread: [code],
    }),
    ...named('session', { ...calls, loadDriver: [demo] }),
    ...named('domain', {
      // It has an owner; a second one is a mistake in the laboratory, not in who uses it.
      belongTo: [],
      allocateMemory: ['pool', 16],
      freeMemory: [0x1_0000n, 16],
      findImage: ['demo'],
      imageAt: [code],
    }),
    ...named('secure', { ...calls, loadImage: [demo] }),
    ...named('dll', ofImage),
    ...named('driver', { ...ofImage, symbol: ['ReceivePacket'] }),
    ...named('sessionDriver', ofImage),
    ...named('patch', { isFor: [dll] }),
    ...named('started', ofThread),
    ...named('thread', ofThread),
    ...named('hpat', { contains: [0n], codeSlot: [0], dataSlot: [0], indexOf: [0n], commit: [0] }),
    ...named('device', {
      deviceIoControl: [0x222000, new Uint8Array(4), 4],
      startDeviceIoControl: [0x222000, new Uint8Array(4), 4],
      read: [4],
      startRead: [4],
      write: [new Uint8Array(4)],
    }),
  };
}

const SKIPPED = new Set(['constructor', 'domain.belongTo']);

/** `lab.call: the rule that it was refused with`, `lab.call: Error without rule or place: …` */
async function outcomes(w: World): Promise<Map<string, string>> {
  const known = argumentsFor(w);
  const { path: _path, events: _events, ...objects } = w;
  const seen = new Map<string, string>();
  for (const [name, object] of Object.entries(objects)) {
    if (object === undefined) continue;
    const members = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object) as object);
    for (const [member, { get, value }] of Object.entries(members) as [string, PropertyDescriptor][]) {
      const key = `${name}.${member}`;
      if (SKIPPED.has(member) || SKIPPED.has(key) || (get === undefined && value === undefined)) continue;
      if (get === undefined && (value as { length: number }).length > 0 && known[key] === undefined) {
        seen.set(key, 'has no arguments in the table');
        continue;
      }
      seen.set(key, await outcome(object, member, get === undefined ? (known[key] ?? []) : undefined));
    }
  }
  return seen;
}

async function outcome(
  object: object,
  member: string,
  parameters: readonly unknown[] | undefined,
): Promise<string> {
  try {
    const value: unknown = Reflect.get(object, member);
    if (parameters === undefined) return 'done';
    const result: unknown = await (value as (...given: unknown[]) => unknown).apply(object, [...parameters]);
    // Operations of the engine, step by step.
    const isSteps = Object.prototype.toString.call(result) === '[object Generator]';
    if (isSteps) for (const _ of result as Iterable<unknown>);
    return 'done';
  } catch (error) {
    if (!isLabError(error)) return `not typed: ${(error as Error).stack}`;
    const where = error.place ?? error.image;
    return where === undefined ? `no place: ${error.stack}` : error.rule;
  }
}

const refusedBy = (seen: Map<string, string>, rule: string) =>
  [...seen].flatMap(([member, outcome]) => (outcome === rule ? [member] : []));

const untyped = (seen: Map<string, string>) =>
  [...seen].filter(([, outcome]) => / /.test(outcome)).map(([member, outcome]) => `${member}: ${outcome}`);

/** Whatever lets guest code run, or changes what there is for it. */
const RUNS = [
  'lab.call',
  'lab.call64',
  'lab.createProcess',
  'lab.createSession',
  'lab.loadDll',
  'lab.loadHotPatch',
  'lab.loadImage',
  'lab.loadSessionDriver',
  'lab.open',
  'lab.run',
  'lab.startThread',
  'lab.unloadHotPatch',
  'kernel.call',
  'kernel.callThread',
  'kernel.createProcess',
  'kernel.createThread',
  'kernel.loadImage',
  'kernel.rendezvous',
  'kernel.run',
  'kernel.unloadImage',
  'engine.load',
  'engine.unload',
  'engine.unloadAll',
  'process.call',
  'process.call64',
  'process.createThread',
  'process.loadImage',
  'process.terminate',
  'session.call',
  'session.loadDriver',
  'device.deviceIoControl',
  'device.read',
  'device.write',
];

describe.each(ARCHITECTURES)('only typed errors leave a lab, %s', (architecture) => {
  it('after a process has ended', async () => {
    using w = disposable(architecture);
    w.process.terminate(5);
    expect(() => w.kernel.unloadImage(w.dll)).toThrow(/demo\.dll.*imageNotMapped/);
    const seen = await outcomes(w);
    expect(untyped(seen)).toEqual([]);
    expect(refusedBy(seen, 'processTerminated')).toEqual(
      expect.arrayContaining([
        'lab.loadDll',
        'lab.allocate',
        'lab.allocateCode',
        'process.call',
        'process.call64',
        'process.createThread',
        'process.loadImage',
        'domain.allocateMemory',
      ]),
    );
    expect(refusedBy(seen, 'imageNotMapped')).toEqual(
      expect.arrayContaining(['dll.codeBytes', 'dll.readPointer', 'dll.writePointer', 'process.unloadImage']),
    );
  });

  it('after a process has crashed', async () => {
    using w = disposable(architecture);
    expect(() => w.process.call(0n)).toThrow(/access violation/);
    expect(w.process.terminated).toBe(true);
    expect(untyped(await outcomes(w))).toEqual([]);
    expect(() => w.dll.codeBytes()).toThrow(/demo\.dll: is no longer in a\.exe.*STATUS_NOT_MAPPED_VIEW/);
  });

  it('after the image was unloaded', async () => {
    using w = disposable(architecture);
    w.lab.unloadHotPatch(w.patch);
    w.process.unloadImage(w.dll);
    const seen = await outcomes(w);
    expect(untyped(seen)).toEqual([]);
    expect(refusedBy(seen, 'imageNotMapped')).toEqual(
      expect.arrayContaining(['dll.codeBytes', 'dll.readPointer', 'process.unloadImage']),
    );
  });

  it('after disposal', async () => {
    const w = world(architecture);
    w.lab[Symbol.dispose]();
    const seen = await outcomes(w);
    expect(untyped(seen)).toEqual([]);
    expect(refusedBy(seen, 'machineDisposed')).toEqual(
      expect.arrayContaining(['lab.call', 'lab.run', 'dll.codeBytes', 'process.call', 'device.read']),
    );
  });
});

describe.each(['x64', 'arm64'] as const)('the system has stopped, %s', (architecture) => {
  it('and nothing of it runs or changes any more', async () => {
    using w = disposable(architecture);
    expect(() => w.lab.call(0n)).toThrow(/access violation/);
    const { kernel } = w.lab;
    const time = kernel.now;
    const memory = kernel.machine.hash();
    const seen = await outcomes(w);
    expect(untyped(seen)).toEqual([]);
    expect(refusedBy(seen, 'systemStopped')).toEqual(expect.arrayContaining(RUNS));
    expect(kernel.now).toBe(time);
    expect(w.process.terminated).toBe(false);
    expect(memory).not.toBe('');
  });

  it('and an older snapshot lets it run again', () => {
    using w = disposable(architecture);
    const { machine, bugChecks } = w.kernel;
    const before = machine.snapshot();
    const result = w.process.call(w.dll.symbol('leaf_opaque'));
    machine.restore(before);
    expect(() => w.lab.call(0n)).toThrow(/access violation/);
    expect(bugChecks.current?.code).toBe(0x7e);
    machine.restore(before);
    expect(bugChecks.current).toBeUndefined();
    expect(w.process.call(w.dll.symbol('leaf_opaque'))).toBe(result);
  });
});

function disposable(architecture: Name) {
  const w = world(architecture);
  return { ...w, [Symbol.dispose]: () => w.lab[Symbol.dispose]() };
}
