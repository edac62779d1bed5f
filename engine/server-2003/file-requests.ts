import { type NtStatus, type NtStatusName, ntStatus } from '../../image/index.js';
import type { KernelRule } from '../../loader/index.js';
import { type FileSystem, KernelError, OpenFile, type Process } from '../../loader/index.js';
import type { CodeInformation } from './code-information.js';

/** AtomicSwap: two files of one directory change names in one operation of the file system. */
export function atomicSwap(
  disk: FileSystem | undefined,
  process: Process,
  information: CodeInformation,
): NtStatus {
  if (disk === undefined) return ntStatus('STATUS_NOT_SUPPORTED');
  disk.swap(...filesOf(process, information));
  return ntStatus('STATUS_SUCCESS');
}

/**
 * RenameInfo (pre-Vista): the same by renames, one after the other; whoever looks in between finds no file. When one is
 * refused those before it are taken back; when the power fails nobody is there to do so.
 */
export function renameFiles(
  disk: FileSystem | undefined,
  process: Process,
  information: CodeInformation,
): NtStatus {
  if (disk === undefined) return ntStatus('STATUS_NOT_SUPPORTED');
  const [inUse, replacement] = filesOf(process, information);
  const { path: name } = inUse;
  const { path: other } = replacement;
  const steps = [
    { file: inUse, from: name, to: `${name}.cp` },
    { file: replacement, from: other, to: name },
    { file: inUse, from: `${name}.cp`, to: other },
  ];
  for (const [index, { file, to }] of steps.entries())
    try {
      disk.rename(file, to);
    } catch (error) {
      if (error instanceof KernelError)
        for (const done of steps.slice(0, index).reverse()) disk.rename(done.file, done.from);
      throw error;
    }
  return ntStatus('STATUS_SUCCESS');
}

/**
 * The files of ObjectHandle1 and ObjectHandle2. Modelled: that both must have names in one directory is what
 * ParentDirectory suggests; with which statuses the others are refused is not public.
 */
function filesOf(process: Process, information: CodeInformation): [OpenFile, OpenFile] {
  const first = fileOf(process, information.handle(1));
  const second = fileOf(process, information.handle(2));
  if (first.record === second.record)
    throw refuse('file.same', 'STATUS_INVALID_PARAMETER', first, 'both handles lead to it');
  if (directoryOf(first) !== directoryOf(second))
    throw refuse('file.directory', 'STATUS_INVALID_PARAMETER', first, `${second.path} is in another folder`);
  return [first, second];
}

function fileOf({ handles }: Process, handle: bigint): OpenFile {
  const file = handles.get(handle, OpenFile);
  if (file !== undefined) return file;
  const [rule, status] =
    handles.get(handle, Object) === undefined
      ? (['handle.invalid', 'STATUS_INVALID_HANDLE'] as const)
      : (['handle.type', 'STATUS_OBJECT_TYPE_MISMATCH'] as const);
  throw new KernelError({ rule, status, message: `handle 0x${handle.toString(16)} leads to no file` });
}

function directoryOf({ path }: OpenFile): string {
  return path.slice(0, path.lastIndexOf('\\')).toLowerCase();
}

function refuse(rule: KernelRule, status: NtStatusName, { path }: OpenFile, message: string): KernelError {
  return new KernelError({ rule, status, image: path, message });
}
