import {
  Lab,
  type LoadedImage,
  type Patch,
  type Process,
  readImage,
  type Session,
  type Thread,
} from 'hotpatch-lab';
import { fixture, fixtureBytes } from '../support.js';

/** A machine with something of everything in it. */
export interface Machine extends Disposable {
  readonly lab: Lab<'modern'>;
  readonly demo: LoadedImage;
  readonly process: Process;
  readonly session: Session;
  readonly thread: Thread;
  readonly patch: Patch;
}

export function makeMachine(): Machine {
  const lab = Lab.boot({ architecture: 'x64' });
  lab.loadImage(fixture('x64/hpimport.dll'));
  const demo = lab.loadImage(fixture('x64/base/demo.dll'));
  return {
    lab,
    demo,
    process: lab.createProcess('p.exe'),
    session: lab.createSession(),
    thread: lab.startThread(demo.symbol('leaf_opaque')),
    patch: lab.loadHotPatch(fixture('x64/patch/demo_hp.dll')),
    [Symbol.dispose]: () => lab[Symbol.dispose](),
  };
}

/** What an argument may be. */
export interface Kind {
  readonly accepts: (value: unknown, machine: Machine) => boolean;
  /** One that is right. */
  readonly right: (machine: Machine) => unknown;
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value);
const isPlain = (value: unknown): value is object =>
  Object.prototype.toString.call(value) === '[object Object]';

const kind = (accepts: Kind['accepts'], right: Kind['right']): Kind => ({ accepts, right });

export const optional = ({ accepts, right }: Kind): Kind =>
  kind((value, machine) => value === undefined || accepts(value, machine), right);

export const address = kind(
  (value) => typeof value === 'bigint' && value >= 0n && value < 1n << 64n,
  ({ demo }) => demo.symbol('leaf_opaque'),
);
/** Where any bigint is something to look for. */
export const anyAddress = kind((value) => typeof value === 'bigint', address.right);
export const dataAddress = kind(
  (value) => typeof value === 'bigint',
  ({ lab }) => lab.allocate(new Uint8Array(64)),
);
export const value64 = kind(
  (value) => typeof value === 'bigint',
  () => 1n,
);
export const whole = kind(
  (value) => isWhole(value) && value >= 0,
  () => 1,
);
export const integer = kind(isWhole, () => 1);
export const number = kind(
  (value) => typeof value === 'number',
  () => 1,
);
export const size = kind(
  (value) => isWhole(value) && value > 0,
  () => 16,
);
export const text = kind(
  (value) => typeof value === 'string',
  () => 'leaf_opaque',
);
export const word = (...words: readonly string[]) =>
  kind(
    (value) => words.includes(value as string),
    () => words[0],
  );
export const flag = kind(
  (value) => typeof value === 'boolean',
  () => true,
);
export const bytes = kind(
  (value) => value instanceof Uint8Array,
  () => new Uint8Array(16),
);
export const bytesOrText = kind(
  (value) => typeof value === 'string' || bytes.accepts(value, undefined as never),
  () => 'text',
);
export const fn = kind(
  (value) => typeof value === 'function',
  () => () => undefined,
);
/** A path that leads to no file is an error of its own. */
export const file = kind(
  () => false,
  () => fixture('x64/base/demo.dll'),
);
export const list = kind(Array.isArray, () => []);
/** All of them are optional, and the name that is tried is none of them. */
export const options = kind(
  (value) => value === undefined || (isPlain(value) && Object.keys(value).length === 0),
  () => ({}),
);
/** Options, or what is in a domain. */
export const placed = kind(
  (value, { demo, process: one }) => options.accepts(value, {} as Machine) || value === demo || value === one,
  () => ({}),
);
export const own = (right: Kind['right']): Kind => kind((value, machine) => value === right(machine), right);
export const process = own((machine) => machine.process);
export const session = own((machine) => machine.session);
export const thread = own((machine) => machine.thread);
export const loaded = own((machine) => machine.demo);
export const patch = own((machine) => machine.patch);
const demoFile = readImage(fixtureBytes('x64/base/demo.dll'), { file: 'demo.dll' });
export const peImage = own(() => demoFile);

/** What a scenario may give by mistake. */
export const mistakes = (machine: Machine, other: Machine): readonly unknown[] => [
  undefined,
  null,
  true,
  0,
  7,
  -1,
  1.5,
  Number.NaN,
  2 ** 53,
  '',
  'no such thing',
  5n,
  -1n,
  1n << 64n,
  {},
  { bogus: 1 },
  [],
  [undefined],
  new Map(),
  () => undefined,
  Symbol('s'),
  machine.demo,
  machine.thread,
  other.process,
  other.session,
  other.thread,
  other.demo,
  other.patch,
];
