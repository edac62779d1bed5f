import { CommanderError } from 'commander';
import { BuildError, MakeError } from '../builder/index.js';
import { CpuError, UnicornMissing } from '../cpu/index.js';
import { HotPatchError } from '../engine/index.js';
import { ImageError } from '../image/index.js';
import { DeviceOpenError, ExpectationFailed } from '../lab/index.js';
import { BugCheck, GuestCrash, KernelError } from '../loader/index.js';
import { EXIT } from './output.js';
import { NeverSettles } from './unsettled.js';

/** A scenario has called `process.exit`, in the middle of the command's work. */
export class ProcessEnded extends Error {
  override readonly name = 'ProcessEnded';

  constructor(code: number) {
    super(`the scenario has ended the process: process.exit(${code})`);
  }
}

/** The process that ran guest code has died: by which signal, and what it ran. */
export class ProcessDied extends Error {
  override readonly name = 'ProcessDied';
}

/** The command was called wrongly: what is wrong with its words. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** An error of a room that few commands load, as its command reports it. */
export class ReportedError extends Error {
  override readonly name = 'ReportedError';

  constructor(
    readonly report: ErrorReport,
    cause: Error,
  ) {
    super(report.message, { cause });
  }
}

export interface ErrorReport {
  readonly exitCode: number;
  readonly message: string;
  readonly rule?: string;
  readonly file?: string;
  readonly place?: string;
  readonly status?: { readonly name: string; readonly value: number };
  readonly hint?: string;
}

/** Rules of the kernel and the image room that mean: the command named something that is not there. */
const USAGE_RULES = new Set(['symbolNotFound', 'machineMismatch']);

/** What to tell the user about an error, and which exit code it has. Undefined for errors that are this project's bugs. */
export function reportOf(error: unknown): ErrorReport | undefined {
  if (error instanceof UnicornMissing)
    return { exitCode: EXIT.unicornMissing, message: error.message, rule: error.rule };
  if (error instanceof ImageError) {
    // A file that cannot be read has no place in it.
    const isUnread = error.place === error.file;
    return {
      exitCode: EXIT.usage,
      message: isUnread ? `${error.file}: ${error.reason}` : error.reason,
      rule: error.rule,
      status: error.status,
      ...optional({ place: isUnread ? undefined : error.place, file: error.file, hint: error.hint }),
    };
  }
  if (error instanceof HotPatchError)
    return {
      exitCode: EXIT.failed,
      message: error.reason,
      rule: error.rule,
      status: error.status,
      ...optional({
        file: error.image,
        place: [error.place, error.symbol].filter((part) => part !== undefined).join(', ') || undefined,
        hint: error.hint,
      }),
    };
  if (error instanceof KernelError)
    return {
      exitCode: USAGE_RULES.has(error.rule) ? EXIT.usage : EXIT.failed,
      message: error.reason,
      rule: error.rule,
      status: error.status,
      ...optional({ file: error.image, hint: error.hint }),
    };
  if (error instanceof GuestCrash)
    return { exitCode: EXIT.failed, message: error.message, rule: 'guestCrash', status: error.status };
  if (error instanceof BugCheck) return { exitCode: EXIT.failed, message: error.message, rule: error.rule };
  if (error instanceof DeviceOpenError)
    return { exitCode: EXIT.failed, message: error.message, rule: error.rule, status: error.status };
  if (error instanceof CpuError)
    return {
      exitCode: EXIT.failed,
      message: error.message,
      rule: error.rule,
      ...optional({ status: error.status }),
    };
  if (error instanceof BuildError)
    return {
      exitCode: EXIT.failed,
      message: error.message,
      rule: error.rule,
      ...optional({ hint: error.hint }),
    };
  if (error instanceof MakeError)
    return {
      exitCode: error.isUsage ? EXIT.usage : EXIT.failed,
      message: error.message,
      rule: error.rule,
      ...optional({ hint: error.hint }),
    };
  if (error instanceof ReportedError) return error.report;
  if (error instanceof ProcessDied)
    return { exitCode: EXIT.failed, message: error.message, rule: 'process.ended' };
  if (error instanceof NeverSettles || error instanceof ProcessEnded)
    return { exitCode: EXIT.failed, message: error.message };
  if (error instanceof ExpectationFailed) return { exitCode: EXIT.failed, message: error.message };
  if (error instanceof UsageError) return { exitCode: EXIT.usage, message: error.message };
  if (error instanceof CommanderError)
    return { exitCode: EXIT.usage, message: error.message.replace(/^error: /, '') };
  return isFileError(error)
    ? { exitCode: EXIT.usage, message: fileErrorText(error), ...optional({ file: error.path }) }
    : undefined;
}

/** `demo_hp.dll: chunk 2, record 5: message (rule, STATUS_…)` */
export function describeReport(report: ErrorReport): string {
  const where = [report.file, report.place].filter(
    (part) => part !== undefined && !report.message.startsWith(part),
  );
  const status =
    report.status && `${report.status.name} 0x${report.status.value.toString(16).padStart(8, '0')}`;
  const tail = [report.rule, status].filter((part) => part !== undefined).join(', ');
  return `${[...where, report.message].join(': ')}${tail === '' ? '' : ` (${tail})`}${report.hint === undefined ? '' : `\nhint: ${report.hint}`}`;
}

interface FileError extends Error {
  readonly code: string;
  readonly path?: string;
}

function isFileError(error: unknown): error is FileError {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

function fileErrorText(error: FileError): string {
  const reason = fileReason(error, 'there is no such file');
  return reason === error.message ? reason : `${error.path ?? 'file'}: ${reason}`;
}

/** What the system's error code says, in words; `absent` when there is no such file. */
export function fileReason(error: unknown, absent: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return absent;
  if (code === 'EISDIR') return 'is a folder, not a file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'ENOSPC') return 'no space left on the disk';
  if (code === 'EROFS') return 'the file system is read-only';
  if (code === 'ENAMETOOLONG') return 'the name is too long';
  if (code === 'ELOOP') return 'the links lead in a circle';
  return error instanceof Error ? error.message : String(error);
}

/** Leaves out what is undefined, so that it does not appear in JSON. */
function optional<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
}
