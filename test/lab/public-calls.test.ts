import * as root from 'hotpatch-lab';
import { isLabError } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import {
  address,
  anyAddress,
  bytes,
  bytesOrText,
  dataAddress,
  file,
  flag,
  fn,
  integer,
  type Kind,
  list,
  loaded,
  type Machine,
  makeMachine,
  mistakes,
  options,
  optional,
  patch,
  peImage,
  process,
  session,
  size,
  text,
  thread,
  value64,
  whole,
  word,
} from './public-calls.js';

interface Subject {
  readonly of: (machine: Machine) => object;
  /** What each method takes; a method that is not here is one that nobody has thought of. */
  readonly methods: Readonly<Record<string, readonly Kind[]>>;
}

const number = integer;
const LOADING = [peImage, options];
const CALL = [address, optional(list)];

const SUBJECTS: Readonly<Record<string, Subject>> = {
  Lab: {
    of: ({ lab }) => lab,
    methods: {
      loadDriver: [file],
      loadImage: [file],
      createProcess: [text],
      createSession: [],
      addFile: [file],
      loadDll: [process, file],
      loadSessionDriver: [session, file],
      loadSecureImage: [file],
      loadHotPatch: [file, options],
      unloadHotPatch: [patch],
      startThread: CALL,
      open: [text, options],
      run: [options],
      call: CALL,
      call64: CALL,
      allocate: [bytesOrText, options],
      allocateCode: [bytes, options],
      address: [text, options],
      describe: [address],
      disassemble: [address, whole],
      listing: [address, whole],
    },
  },
  Kernel: {
    of: ({ lab }) => lab.kernel,
    methods: {
      imagesOf: [{ accepts: () => false, right: ({ demo }) => demo }],
      loadImage: LOADING,
      unloadImage: [loaded],
      onImageLoad: [fn],
      onImageUnload: [fn],
      createProcess: [{ accepts: () => false, right: () => ({ name: 'q.exe' }) }],
      userServices: [options],
      createSession: [],
      attachSession: [session],
      createThread: [...CALL, optional(text)],
      destroyThread: [thread],
      run: [options],
      call: [...CALL, options],
      call64: [...CALL, options],
      callThread: [...CALL, options],
      onCall: [fn],
      rendezvous: [fn, options],
      gatherProcessors: [options],
      domainOf: [address],
      describe: [address],
    },
  },
  Process: {
    of: (machine) => machine.process,
    methods: {
      loadImage: LOADING,
      unloadImage: [{ accepts: () => false, right: ({ demo }) => demo }],
      findImage: [text],
      createThread: [...CALL, options],
      call: CALL,
      call64: CALL,
      terminate: [optional(integer)],
      enablePrivileges: [text],
      disablePrivileges: [text],
    },
  },
  Session: {
    of: (machine) => machine.session,
    methods: { loadDriver: LOADING, call: CALL, call64: CALL },
  },
  SecureKernel: {
    of: ({ lab }) => lab.secureKernel,
    methods: { loadImage: LOADING, call: CALL, call64: CALL },
  },
  Thread: {
    of: (machine) => machine.thread,
    methods: {
      reaches: [address],
      returns: [],
      register: [text],
      stackWalk: [],
      describe: [address],
      describeCode: [anyAddress, optional(flag)],
    },
  },
  LoadedImage: {
    of: ({ demo }) => demo,
    methods: {
      contains: [anyAddress],
      isExtension: [anyAddress],
      address: [integer],
      rva: [anyAddress],
      symbol: [text, optional(integer)],
      exportRva: [text],
      assertMapped: [],
      readPointer: [integer],
      writePointer: [integer, value64],
      codeBytes: [],
      describe: [anyAddress],
      describeCode: [anyAddress, optional(flag)],
    },
  },
  HotPatchAddressTable: {
    of: ({ demo }) => demo.hpat ?? {},
    methods: { contains: [anyAddress], codeSlot: [whole], dataSlot: [whole], indexOf: [anyAddress] },
  },
  ImageDomain: {
    of: (machine) => machine.process.domain,
    methods: {
      allocateMemory: [word('pool', 'stacks'), size],
      freeMemory: [address, size],
      findImage: [text],
      imageAt: [anyAddress],
    },
  },
  EventLog: {
    of: ({ lab }) => lab.kernel.events,
    methods: {
      emit: [{ accepts: () => false, right: () => ({ kind: 'narration', text: '' }) }],
      tell: [text, text],
      on: [fn],
    },
  },
  ModernEngine: {
    of: ({ lab }) => lab.engine,
    methods: {
      registerBootPatches: [list],
      record: [loaded],
      load: LOADING,
      loadSteps: LOADING,
      unload: [patch],
      unloadSteps: [patch],
      applyImagePatch: [loaded, loaded, integer],
      registeredFor: [loaded],
      patchOf: [loaded],
      unloadAll: [loaded],
      holdersOf: [patch],
      unmapPatch: [patch],
    },
  },
  Patch: { of: (machine) => machine.patch, methods: { isFor: [loaded] } },
  AddressSpace: {
    of: ({ lab }) => lab.kernel.system.addressSpace,
    methods: {
      observe: [fn],
      replaceTable: [
        { accepts: () => false, right: () => undefined },
        { accepts: () => false, right: () => undefined },
      ],
      setTables: [{ accepts: () => false, right: () => [] }],
      table: [dataAddress],
      tableOfPage: [number],
      query: [dataAddress],
      read: [dataAddress, whole],
      write: [dataAddress, bytes],
      store: [dataAddress, bytes],
      readCString: [dataAddress, optional(whole)],
      findFree: [dataAddress, whole, optional(value64)],
      readU8: [dataAddress],
      readU16: [dataAddress],
      readU32: [dataAddress],
      readU64: [dataAddress],
      readF32: [dataAddress],
      readF64: [dataAddress],
      writeU8: [dataAddress, number],
      writeU16: [dataAddress, number],
      writeU32: [dataAddress, number],
      writeU64: [dataAddress, value64],
      writeF32: [dataAddress, { accepts: (value) => typeof value === 'number', right: () => 1 }],
      writeF64: [dataAddress, { accepts: (value) => typeof value === 'number', right: () => 1 }],
    },
  },
};

const COMMON = ['constructor', 'toJSON', 'toString'];

/** Methods of an object by its prototypes, but for those of symbols. */
function methodsOf(subject: object): string[] {
  const names = new Set<string>();
  for (
    let prototype = Object.getPrototypeOf(subject);
    prototype !== null && prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype)
  )
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype)))
      if (typeof value === 'function' && !COMMON.includes(name)) names.add(name);
  return [...names];
}

/** What a call ends with: its error, or undefined. Steps are taken to their first. */
async function outcome(subject: object, name: string, parameters: readonly unknown[]): Promise<unknown> {
  try {
    const method: unknown = Reflect.get(subject, name);
    if (typeof method !== 'function') throw new Error(`there is no method ${name}`);
    const result: unknown = await Reflect.apply(method, subject, parameters);
    if (typeof result === 'object' && result !== null && 'next' in result && typeof result.next === 'function')
      result.next();
    if (typeof result === 'object' && result !== null && Symbol.dispose in result && !(result instanceof root.Lab))
      (result as Disposable)[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return error;
  }
}

const show = (value: unknown) => (typeof value === 'object' && value !== null ? Object.prototype.toString.call(value) + JSON.stringify(Object.keys(value).slice(0, 2)) : typeof value === 'bigint' ? `${value}n` : typeof value === 'string' ? `'${value}'` : String(value));

describe.each(Object.entries(SUBJECTS))('%s', (_, { of, methods }) => {
  using machine = makeMachine();
  const known = methodsOf(of(machine));

  it('refuses', async () => {
    const wrong: string[] = [];
    for (const name of known) { if (!(name in methods)) wrong.push(`unknown method ${name}`); }
    for (const [name, kinds] of Object.entries(methods)) {
      using own = makeMachine();
      using other = makeMachine();
      for (const [position, one] of kinds.entries())
        for (const value of mistakes(own, other)) {
          if (one.accepts(value, own)) continue;
          const parameters = kinds.map((each, index) => (index === position ? value : each.right(own)));
          const error = await outcome(of(own), name, parameters);
          if (!isLabError(error)) wrong.push(`${name}[${position}] ${show(value)}: ${error === undefined ? 'passes' : error}`);
        }
    }
    expect(wrong).toEqual([]);
  }, 60_000);
});
