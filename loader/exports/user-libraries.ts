import type { ServiceCall, SimulatedExport } from '../dispatch/index.js';
import { addReference, changeImage, findDelayImport, findExport, type LoadedImage } from '../images/index.js';
import { writePointer } from '../memory/index.js';
import { defineExport } from './simulated-export.js';

const ERROR_MOD_NOT_FOUND = 126;
const ERROR_PROC_NOT_FOUND = 127;
const GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS = 4;
const MAXIMUM_ORDINAL = 0xffffn;

function fail({ process, thread }: ServiceCall, error: number): bigint {
  if (thread.teb !== undefined) process.environment?.setLastError(thread.teb, error);
  return 0n;
}

const baseName = (path: string): string => path.replace(/^.*[\\/]/, '');
const withExtension = (name: string): string => (/\.[^.]*$/.test(name) ? name : `${name}.dll`);

function load(call: ServiceCall, path: string): bigint {
  const name = withExtension(baseName(path));
  const loaded = call.domain.findImage(name);
  if (loaded !== undefined) {
    addReference(loaded);
    return loaded.dllBase;
  }
  const file = call.kernel.files.find(name, call.thread.architecture.name);
  if (file === undefined) return fail(call, ERROR_MOD_NOT_FOUND);
  return call.process.loadImage(file.image, { ...file.options, name: file.name }).dllBase;
}

const imageAt = ({ domain }: ServiceCall, base: bigint): LoadedImage | undefined =>
  domain.images.find(({ dllBase }) => dllBase === base);

function moduleHandle(call: ServiceCall, name: string): bigint {
  const image = name === '' ? call.process.mainImage : call.domain.findImage(withExtension(baseName(name)));
  return image?.dllBase ?? fail(call, ERROR_MOD_NOT_FOUND);
}

function fileNameOf(call: ServiceCall, base: bigint): string {
  const image = base === 0n ? call.process.mainImage : imageAt(call, base);
  return `C:\\Windows\\System32\\${image?.baseDllName ?? call.process.name}`;
}

/** LoadLibrary and its like (libloaderapi.h, delayloadhandler.h). */
export function userLibraries(): SimulatedExport[] {
  return [
    defineExport('LoadLibraryExW', ['wstring', 'pointer', 'u32'], (call, path) => load(call, path)),
    defineExport('LoadLibraryW', ['wstring'], (call, path) => load(call, path)),
    defineExport('LoadLibraryA', ['cstring'], (call, path) => load(call, path)),
    // No library here does anything for threads that it could be spared.
    // A DLL with thread-local storage of its own goes on hearing of threads (learn.microsoft.com).
    defineExport('DisableThreadLibraryCalls', ['pointer'], (call, base) => {
      const image = imageAt(call, base);
      if (image === undefined) return fail(call, ERROR_MOD_NOT_FOUND);
      if (image.image.tls !== undefined) return 0;
      changeImage(image, { hearsOfThreads: false });
      return 1;
    }),
    defineExport('FreeLibrary', ['pointer'], (call, base) => {
      const image = imageAt(call, base);
      if (image === undefined) return fail(call, ERROR_MOD_NOT_FOUND);
      call.process.unloadImage(image);
      return 1;
    }),
    defineExport('GetProcAddress', ['pointer', 'pointer'], (call, base, name) => {
      const image = imageAt(call, base);
      const wanted =
        name <= MAXIMUM_ORDINAL ? { ordinal: Number(name) } : { name: call.memory.readCString(name) };
      return (image && findExport(image, wanted)) ?? fail(call, ERROR_PROC_NOT_FOUND);
    }),
    defineExport('GetModuleHandleW', ['wstring'], (call, name) => moduleHandle(call, name)),
    defineExport('GetModuleHandleA', ['cstring'], (call, name) => moduleHandle(call, name)),
    defineExport('GetModuleHandleExW', ['u32', 'pointer', 'pointer'], (call, flags, name, result) => {
      const byAddress = (flags & GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS) !== 0;
      const handle = byAddress
        ? (call.domain.imageAt(name)?.dllBase ?? 0n)
        : moduleHandle(call, name === 0n ? '' : call.memory.readUtf16(name));
      writePointer(call.memory, result, handle, call.pointerSize);
      return handle === 0n ? 0 : 1;
    }),
    defineExport('GetModuleFileNameW', ['pointer', 'pointer', 'u32'], (call, base, buffer, size) => {
      const text = fileNameOf(call, base).slice(0, Math.max(0, size - 1));
      call.memory.write(buffer, Buffer.from(`${text}\0`, 'utf16le'));
      return text.length;
    }),
    defineExport('GetModuleFileNameA', ['pointer', 'pointer', 'u32'], (call, base, buffer, size) => {
      const text = fileNameOf(call, base).slice(0, Math.max(0, size - 1));
      call.memory.write(buffer, Buffer.from(`${text}\0`, 'latin1'));
      return text.length;
    }),
    defineExport(
      'ResolveDelayLoadedAPI',
      ['pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'u32'],
      (call, base, _descriptor, _dllHook, _systemHook, thunk) => {
        const image = imageAt(call, base);
        const target =
          image === undefined ? undefined : findDelayImport(call.kernel, image, image.rva(thunk));
        return target ?? fail(call, ERROR_PROC_NOT_FOUND);
      },
    ),
  ];
}
