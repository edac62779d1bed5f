/** A file that a command reads, or a folder of files. */
export interface Input {
  readonly kind: 'input';
  readonly name: string;
  /** Before the path in its word: `@` of `--in @FILE`. */
  readonly prefix: string;
  /** Undefined: it is a folder. */
  readonly contents: (() => Uint8Array | string) | undefined;
  /** Files that lie beside it, or in the folder, by name. */
  readonly beside: Readonly<Record<string, () => Uint8Array | string>>;
}

/** A file, or a folder of files, that a command writes. */
export interface Output {
  readonly kind: 'output';
  readonly isFolder: boolean;
  /** The files are called `name.…`. */
  readonly isStem: boolean;
  readonly name: string;
}

export type Word = string | Input | Output;

/** What a command is called with in one case, and what it answers. */
export interface Row {
  /** Each ends with exit code 0, and together they have every option that names a file. */
  readonly succeeds: readonly (readonly Word[])[];
  /** Understood, and answered with no. */
  readonly refuses: Refusal;
  /** What it runs, or reads, fails badly. */
  readonly crashes: Refusal | Because;
  /** Goes on until it is interrupted. */
  readonly endless: readonly Word[] | Because;
  /** What it prints is longer than a line; false: it prints nothing, or never ends. */
  readonly printsLines: readonly Word[] | Because;
  /** Options that name files that no row can have, and why. */
  readonly untried?: Readonly<Record<string, string>>;
  /** A tool without which the cases that succeed are left out. */
  readonly needs?: () => boolean;
}

export interface Refusal {
  readonly words: readonly Word[];
  readonly code: 1 | 2;
  /** In the JSON document, besides `error`. */
  readonly has?: string;
}

/** Why a command has no such case. */
export interface Because {
  readonly because: string;
}

export const isBecause = (value: object): value is Because => 'because' in value;

export const isInput = (word: Word | undefined): word is Input =>
  typeof word === 'object' && word.kind === 'input';

/** Not a folder of them. */
export const isFile = (word: Word | undefined): word is Input => isInput(word) && word.contents !== undefined;

export const isOutput = (word: Word | undefined): word is Output =>
  typeof word === 'object' && word.kind === 'output';
