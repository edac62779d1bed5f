import type { SimulatedExport } from '../dispatch/index.js';
import { ATTRIBUTE, FILE_ERROR, FindFile, matchesPattern, VolumeError } from '../files/index.js';
import { changeProcess } from '../processes/index.js';
import {
  absolute,
  attributeData,
  attributesOf,
  ERROR,
  fail,
  giveText,
  INVALID_ATTRIBUTES,
  invalidHandle,
  onVolume,
  writeFindData,
} from './disk-access.js';
import { defineExport } from './simulated-export.js';

/** What kernel32.dll does with names of files and directories, in both character sets (fileapi.h). */
export function pathExports(): SimulatedExport[] {
  return ([1, 2] as const).flatMap((unit) => {
    const letter = unit === 1 ? 'A' : 'W';
    const text = unit === 1 ? ('cstring' as const) : ('wstring' as const);
    return [
      defineExport(`DeleteFile${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.remove(absolute(call, path), false);
          return 1;
        }),
      ),
      defineExport(`CreateDirectory${letter}`, [text, 'pointer'], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.create(absolute(call, path), true);
          return 1;
        }),
      ),
      defineExport(`RemoveDirectory${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          call.kernel.volume.remove(absolute(call, path), true);
          return 1;
        }),
      ),
      ...[
        [`MoveFile${letter}`, [text, text]] as const,
        [`MoveFileEx${letter}`, [text, text, 'u32']] as const,
      ].map(([name, parameters]) =>
        defineExport(name, parameters as readonly ['wstring', 'wstring', 'u32'], (call, from, to, flags) =>
          onVolume(call, 0, () => {
            const replace = name.includes('Ex') && (flags & 1) !== 0;
            call.kernel.volume.rename(absolute(call, from), absolute(call, to), replace);
            return 1;
          }),
        ),
      ),
      defineExport(`CopyFile${letter}`, [text, text, 'u32'], (call, from, to, failIfExists) =>
        onVolume(call, 0, () => {
          const { volume } = call.kernel;
          const source = volume.get(absolute(call, from));
          const target = absolute(call, to);
          if (failIfExists !== 0 && volume.find(target) !== undefined)
            throw new VolumeError(FILE_ERROR.fileExists, target);
          if (source.isDirectory) throw new VolumeError(FILE_ERROR.accessDenied, target);
          const copy = volume.find(target) ?? volume.create(target, false);
          if (copy.isDirectory) throw new VolumeError(FILE_ERROR.accessDenied, target);
          copy.resize(0);
          copy.write(0, source.read(0, source.size));
          return 1;
        }),
      ),
      defineExport(`GetFileAttributes${letter}`, [text], (call, path) =>
        onVolume(call, INVALID_ATTRIBUTES, () =>
          BigInt(attributesOf(call.kernel.volume.get(absolute(call, path)))),
        ),
      ),
      defineExport(`GetFileAttributesEx${letter}`, [text, 'u32', 'pointer'], (call, path, level, data) =>
        onVolume(call, 0, () => {
          if (level !== 0) return fail(call, ERROR.invalidParameter, 0);
          call.memory.write(data, attributeData(call.kernel.volume.get(absolute(call, path))));
          return 1;
        }),
      ),
      defineExport(`SetFileAttributes${letter}`, [text, 'u32'], (call, path, attributes) =>
        onVolume(call, 0, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          node.attributes = (attributes & 0x27) | (node.isDirectory ? ATTRIBUTE.directory : 0);
          return 1;
        }),
      ),
      defineExport(
        `GetFullPathName${letter}`,
        [text, 'u32', 'pointer', 'pointer'],
        (call, path, room, to, part) => {
          const full = absolute(call, path);
          const length = giveText(call, to, room, full, unit);
          if (length < room && part !== 0n) {
            const index = full.lastIndexOf('\\') + 1;
            call.memory.writePointer(part, index === full.length ? 0n : to + BigInt(index * unit));
          }
          return length;
        },
      ),
      defineExport(`GetTempPath${letter}`, ['u32', 'pointer'], (call, room, to) =>
        giveText(call, to, room, 'C:\\Temp\\', unit),
      ),
      defineExport(
        `GetTempFileName${letter}`,
        [text, text, 'u32', 'pointer'],
        (call, folder, prefix, unique, to) =>
          onVolume(call, 0, () => {
            const { volume } = call.kernel;
            for (let number = unique & 0xffff || 1; ; number++) {
              const path = absolute(call, `${folder}\\${prefix.slice(0, 3)}${number.toString(16)}.tmp`);
              if (unique === 0) {
                if (volume.find(path) !== undefined) continue;
                volume.create(path, false);
              }
              giveText(call, to, 260, path, unit);
              return number;
            }
          }),
      ),
      defineExport(`GetCurrentDirectory${letter}`, ['u32', 'pointer'], (call, room, to) =>
        giveText(call, to, room, call.process.currentDirectory, unit),
      ),
      defineExport(`SetCurrentDirectory${letter}`, [text], (call, path) =>
        onVolume(call, 0, () => {
          const node = call.kernel.volume.get(absolute(call, path));
          if (!node.isDirectory) return fail(call, FILE_ERROR.directory, 0);
          changeProcess(call.process, { currentDirectory: node.path });
          return 1;
        }),
      ),
      defineExport(`GetWindowsDirectory${letter}`, ['pointer', 'u32'], (call, to, room) =>
        giveText(call, to, room, 'C:\\Windows', unit),
      ),
      defineExport(`GetSystemDirectory${letter}`, ['pointer', 'u32'], (call, to, room) =>
        giveText(call, to, room, 'C:\\Windows\\System32', unit),
      ),
      defineExport(`GetDriveType${letter}`, [text], (_call, path) =>
        path === '' || /^c:/i.test(path) ? 3 : 1,
      ),
      defineExport(
        `GetDiskFreeSpace${letter}`,
        [text, 'pointer', 'pointer', 'pointer', 'pointer'],
        ({ memory }, _root, ...targets) => {
          [8, 512, 0x10_0000, 0x20_0000].forEach((value, index) => {
            const target = targets[index] ?? 0n;
            if (target !== 0n) memory.writeU32(target, value);
          });
          return 1;
        },
      ),
      defineExport(`GetVolumePathName${letter}`, [text, 'pointer', 'u32'], (call, _path, to, room) =>
        giveText(call, to, room, 'C:\\', unit) < room ? 1 : fail(call, ERROR.bufferOverflow, 0),
      ),
      defineExport(`FindFirstFile${letter}`, [text, 'pointer'], (call, path, data) =>
        onVolume(call, invalidHandle(call), () => {
          const full = absolute(call, path.replace(/[\\/][^\\/]*$|^[^\\/]*$/, '') || '.');
          const pattern = path.replace(/^.*[\\/]/, '');
          call.kernel.volume.get(full);
          const found = call.kernel.volume
            .list(full)
            .filter((node) => matchesPattern(node.path.replace(/^.*\\/, ''), pattern));
          const search = new FindFile(found);
          const first = search.next();
          if (first === undefined) throw new VolumeError(FILE_ERROR.fileNotFound, path);
          writeFindData(call, data, first, unit);
          return BigInt(call.process.handles.open(search));
        }),
      ),
      defineExport(`FindNextFile${letter}`, ['pointer', 'pointer'], (call, handle, data) => {
        const search = call.process.handles.get(handle, FindFile);
        if (search === undefined) return fail(call, ERROR.invalidHandle, 0);
        const node = search.next();
        if (node === undefined) return fail(call, ERROR.noMoreFiles, 0);
        writeFindData(call, data, node, unit);
        return 1;
      }),
    ];
  });
}
