import * as root from 'hotpatch-lab';
import { isLabError } from 'hotpatch-lab';
import { describe, expect, it } from 'vitest';
import {
  address,
  anyAddress,
  bytes,
  bytesOrText,
  file,
  flag,
  fn,
  integer,
  type Kind,
  list,
  type Machine,
  makeMachine,
  mistakes,
  optional,
  options,
  patch,
  peImage,
  placed,
  process,
  session,
  size,
  text,
  whole,
  word,
} from './public-calls.js';

interface Subject {
  readonly of: (machine: Machine) => object;
  /** What each method takes; a method that is not here is one that nobody has thought of. */
  readonly methods: Readonly<Record<string, readonly Kind[]>>;
}

const _number = integer;
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
      allocate: [bytesOrText, placed],
      allocateCode: [bytes, placed],
      address: [text, options],
      describe: [address],
      disassemble: [address, whole],
      listing: [address, whole],
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
    if (
      typeof result === 'object' &&
      result !== null &&
      'next' in result &&
      typeof result.next === 'function'
    )
      result.next();
    if (
      typeof result === 'object' &&
      result !== null &&
      Symbol.dispose in result &&
      !(result instanceof root.Lab)
    )
      (result as Disposable)[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return error;
  }
}

const show = (value: unknown) =>
  typeof value === 'object' && value !== null
    ? Object.prototype.toString.call(value) + JSON.stringify(Object.keys(value).slice(0, 2))
    : typeof value === 'bigint'
      ? `${value}n`
      : typeof value === 'string'
        ? `'${value}'`
        : String(value);

describe.each(Object.entries(SUBJECTS))('%s', (_, { of, methods }) => {
  using machine = makeMachine();
  const known = methodsOf(of(machine));

  it('refuses', async () => {
    const wrong: string[] = [];
    for (const name of known) {
      if (!(name in methods)) wrong.push(`unknown method ${name}`);
    }
    for (const [name, kinds] of Object.entries(methods)) {
      using own = makeMachine();
      using other = makeMachine();
      for (const [position, one] of kinds.entries())
        for (const value of mistakes(own, other)) {
          if (one.accepts(value, own)) continue;
          const parameters = kinds.map((each, index) => (index === position ? value : each.right(own)));
          const error = await outcome(of(own), name, parameters);
          if (!isLabError(error))
            wrong.push(`${name}[${position}] ${show(value)}: ${error === undefined ? 'passes' : error}`);
        }
    }
    expect(wrong).toEqual([]);
  }, 60_000);
});
