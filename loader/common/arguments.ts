import * as v from 'valibot';
import { KernelError } from './error.js';
import { nearest } from './nearest.js';
import type { KernelRule } from './rules.js';

/**
 * What a public call takes. Scenarios are run without a check of their types: what a compiler would refuse gets as far as
 * the call, and is refused there. The message of each says what it wants: `true or false`.
 */
export type Wanted = v.GenericSchema;

export const FLAG: Wanted = v.boolean('true or false');
export const TEXT: Wanted = v.string('a string');
export const NUMBER: Wanted = v.number('a number');
export const BYTES: Wanted = v.instance(Uint8Array, 'bytes: a Uint8Array');
export const ANY: Wanted = v.unknown();
export const OBJECT: Wanted = v.custom<object>(
  (value) => typeof value === 'object' && value !== null,
  'an object',
);
/** A line of the transcript, whatever else it says. */
export const EVENT: Wanted = v.looseObject({ kind: TEXT, text: TEXT }, 'an event: { kind, text }');
export const FUNCTION: Wanted = v.function('a function');
export const WHOLE: Wanted = whole(0, Number.MAX_SAFE_INTEGER, 'a whole number from 0 on');
/** Bytes of one allocation. */
export const SIZE: Wanted = whole(1, 2 ** 32, 'a number of bytes, 1 to 0x100000000');
const ADDRESS_TEXT = 'an address: a bigint of 64 bits';
export const ADDRESS: Wanted = v.pipe(
  v.bigint(ADDRESS_TEXT),
  v.minValue(0n, ADDRESS_TEXT),
  v.maxValue(0xffff_ffff_ffff_ffffn, ADDRESS_TEXT),
);
/** What goes into a register or a pointer, signed or not. */
export const VALUE: Wanted = v.bigint('a bigint');
/** As an NTSTATUS or a code of 32 bits is written, signed or not. */
export const CODE: Wanted = whole(-(2 ** 31), 2 ** 32 - 1, 'a whole number of 32 bits');

export function whole(least: number, most: number, text: string): Wanted {
  return v.pipe(v.number(text), v.safeInteger(text), v.minValue(least, text), v.maxValue(most, text));
}

/** One of these words or numbers. */
export const wordOf = (words: readonly (string | number)[]): Wanted =>
  v.picklist(words, `one of ${words.join(', ')}`);

/** An object of this class. */
export const instanceOf = (type: { [Symbol.hasInstance](value: unknown): boolean }, text: string): Wanted =>
  v.custom<object>((value) => value instanceof type, text);

/** What any of these would take. */
export const anyOf = (wanted: readonly Wanted[], text: string): Wanted => v.union([...wanted], text);

export const listOf = (wanted: Wanted, text: string): Wanted => v.array(wanted, text);

export const optional = (wanted: Wanted): Wanted => v.optional(wanted);

/** What each option must be: the compiler wants the table complete. */
export type OptionTable<T> = { readonly [K in keyof Required<T>]: Wanted };

/** Options that a public call takes, and no others. */
export function optionsOf<T>(options: OptionTable<T>): Wanted {
  const names = Object.keys(options).join(', ');
  return v.pipe(
    v.custom<object>(isPlain, 'an object of options'),
    v.strictObject<v.ObjectEntries, string>(options, names),
  );
}

/** Something that has these, and maybe more. */
export const shapeOf = <T>(members: OptionTable<T>, text: string): Wanted =>
  v.pipe(OBJECT, v.looseObject<v.ObjectEntries, string>(members, text));

const isPlain = (value: unknown): boolean => Object.prototype.toString.call(value) === '[object Object]';

/**
 * @param place whose argument it is: `loadDll(process)`
 * @param rule what is broken. Default `argument`, or `option` for what is in an object of options
 * @throws KernelError with STATUS_INVALID_PARAMETER
 */
export function assertArgument(wanted: Wanted, value: unknown, place: string, rule?: KernelRule): void {
  if (v.is(wanted, value)) return;
  const [issue] = v.safeParse(wanted, value, { abortEarly: true }).issues ?? [];
  if (issue === undefined) return;
  const keys = (issue.path ?? []).map(({ key }) => key);
  const option = keys
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
  const where = [place, option].filter((part) => part !== '').join(': ');
  const { message, hint } = issue.type === 'strict_object' ? storyOfOption(issue) : storyOf(issue);
  throw new KernelError({
    rule: rule ?? (keys.some((key) => typeof key === 'string') ? 'option' : 'argument'),
    status: 'STATUS_INVALID_PARAMETER',
    place: where,
    message: `${where}: ${message}`,
    hint,
  });
}

interface Story {
  readonly message: string;
  readonly hint?: string | undefined;
}

const storyOf = ({ input, message }: v.BaseIssue<unknown>): Story => ({
  message: `${shown(input)} is not ${message}`,
});

/** An option that there is not, or one that is missing; the issue's message names all that there are. */
function storyOfOption({ expected, path, message: names }: v.BaseIssue<unknown>): Story {
  if (expected !== 'never') return { message: 'it is missing', hint: `the options are: ${names}` };
  const near = nearest(String(path?.at(-1)?.key), names.split(', '));
  return {
    message: 'there is no such option',
    hint: `${near === undefined ? '' : `did you mean '${near}'? `}the options are: ${names}`,
  };
}

/** A part of a machine, as far as it says of which. */
export interface MachinePart {
  readonly domain: { readonly machine: object; readonly name: string };
}

/** @throws KernelError `otherMachine` when it is a part of another machine */
export function assertOwn(machine: object, { domain }: MachinePart, place: string): void {
  if (domain.machine === machine) return;
  throw new KernelError({
    rule: 'otherMachine',
    status: 'STATUS_INVALID_PARAMETER',
    place,
    message: `${place}: it is of another machine (${domain.name})`,
    hint: 'give what this very lab has returned',
  });
}

const SHORT = 40;

/** A value that was given, in a few words. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length > SHORT ? `'${value.slice(0, SHORT)}…'` : `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const name = Object.prototype.toString.call(value).slice('[object '.length, -1);
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}
