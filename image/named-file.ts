import { readFileSync } from 'node:fs';
import { ImageError } from './error.js';
import type { ImageRule } from './rules.js';
import type { NtStatusName } from './status.js';

interface Reason {
  readonly rule: ImageRule;
  readonly status: NtStatusName;
  readonly message: string;
}

const INVALID_NAME = { rule: 'file.name', status: 'STATUS_OBJECT_NAME_INVALID' } as const;
const DENIED = { rule: 'file.access', status: 'STATUS_ACCESS_DENIED', message: 'permission denied' } as const;

/** What NtOpenFile and NtReadFile would return for what the host's system says. */
const REASONS: Readonly<Record<string, Reason>> = {
  ENOENT: {
    rule: 'file.notFound',
    status: 'STATUS_OBJECT_NAME_NOT_FOUND',
    message: 'there is no such file',
  },
  ENOTDIR: {
    rule: 'file.notFound',
    status: 'STATUS_OBJECT_PATH_NOT_FOUND',
    message: 'there is no such file: a part of its path is no folder',
  },
  EISDIR: {
    rule: 'file.directory',
    status: 'STATUS_FILE_IS_A_DIRECTORY',
    message: 'is a folder, not a file',
  },
  EACCES: DENIED,
  EPERM: DENIED,
  ENAMETOOLONG: { ...INVALID_NAME, message: 'the name is too long' },
  ERR_INVALID_ARG_VALUE: { ...INVALID_NAME, message: 'no file can have this name' },
  ERR_INVALID_ARG_TYPE: { ...INVALID_NAME, message: 'is no path' },
};

/**
 * Everything in a file.
 * @throws ImageError `file.notFound`, `file.directory`, `file.access`, `file.name` or, for any other reason of the host's,
 * `file.unreadable`
 */
export function readNamedFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const { rule, status, message } = (Object.hasOwn(REASONS, code) && REASONS[code]) || {
      rule: 'file.unreadable' as const,
      status: 'STATUS_UNSUCCESSFUL' as const,
      message: `cannot be read: ${code === '' ? String(error) : code}`,
    };
    throw new ImageError({
      rule,
      status,
      place: String(path),
      file: String(path),
      message,
      hint: 'a path begins at the working folder, new URL(path, import.meta.url) at the file that says it',
      cause: error,
    });
  }
}
