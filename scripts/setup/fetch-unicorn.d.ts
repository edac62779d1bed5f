export interface Wheel {
  readonly name: string;
  readonly platform: string;
  readonly sha256: string;
  readonly entry: string;
  readonly file: string;
}
export interface Source {
  readonly name: string;
  get(wheel: Wheel): Promise<Uint8Array>;
}
export type Answer = { readonly version: string } | { readonly reason: string; readonly isUnknown?: boolean };
export type Result =
  | { readonly status: 'present' | 'fetched'; readonly path: string; readonly version: string }
  | { readonly status: 'impossible'; readonly reason: string };
export interface Options {
  readonly root: string;
  readonly force?: boolean;
  /** `process.platform`-`process.arch`. */
  readonly target?: string;
  readonly environment?: Record<string, string | undefined>;
  readonly sources?: readonly Source[];
  readonly wheels?: Readonly<Record<string, Wheel>>;
  readonly systemNames?: readonly string[];
  readonly ask?: (path: string) => Answer;
  readonly log?: (line: string) => void;
}
export const UNICORN_VERSION: string;
export function cacheFolder(
  environment: Record<string, string | undefined>,
  platform?: NodeJS.Platform,
  architecture?: string,
): string | undefined;
export const WHEELS: Readonly<Record<string, Wheel>>;
export function fetchUnicorn(options: Options): Promise<Result>;
export function pip(environment: Record<string, string | undefined>): Source;
export function https(environment: Record<string, string | undefined>, request?: typeof fetch): Source;
export function extract(zip: Uint8Array, name: string): Uint8Array;
