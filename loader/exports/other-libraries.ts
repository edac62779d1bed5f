import type { ServiceCall, SimulatedExport, SimulatedModule } from '../dispatch/index.js';
import { fail, setLastError } from './disk-access.js';
import { defineExport } from './simulated-export.js';
import { labRandom } from './ucrtbase/stdlib.js';

const ERROR_FILE_NOT_FOUND = 2;
const ERROR_NOT_SUPPORTED = 50;
const WSAENETDOWN = 10_050;
const WSANOTINITIALISED_OR_NONE = 11_001;
const PROVIDER = 0x10n;

/** Bytes of the lab's own randomness. */
function giveRandom(call: ServiceCall, to: bigint, length: number): void {
  call.memory.probe(to, length, 'write');
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 8) {
    const value = Buffer.alloc(8);
    value.writeBigUInt64LE(labRandom(call));
    bytes.set(value.subarray(0, Math.min(8, length - at)), at);
  }
  call.memory.write(to, bytes);
}

/** Randomness, and a registry without keys (wincrypt.h, ntsecapi.h, winreg.h). */
export function advapi32(): SimulatedModule {
  const acquire = (name: string) =>
    defineExport(name, ['pointer', 'pointer', 'pointer', 'u32', 'u32'], ({ memory }, provider) => {
      memory.writePointer(provider, PROVIDER);
      return 1;
    });
  const missing = (name: string, parameters: number) =>
    defineExport(
      name,
      Array.from({ length: parameters }, () => 'pointer' as const),
      () => ERROR_FILE_NOT_FOUND,
    );
  return {
    name: 'advapi32.dll',
    exports: [
      acquire('CryptAcquireContextA'),
      acquire('CryptAcquireContextW'),
      defineExport('CryptGenRandom', ['pointer', 'u32', 'pointer'], (call, _provider, length, to) => {
        giveRandom(call, to, length);
        return 1;
      }),
      defineExport('CryptReleaseContext', ['pointer', 'u32'], () => 1),
      defineExport('SystemFunction036', ['pointer', 'u32'], (call, to, length) => {
        giveRandom(call, to, length);
        return 1;
      }),
      missing('RegOpenKeyExA', 5),
      missing('RegOpenKeyExW', 5),
      missing('RegQueryValueExA', 6),
      missing('RegQueryValueExW', 6),
      missing('RegEnumKeyExA', 8),
      missing('RegEnumKeyExW', 8),
      defineExport('RegCloseKey', ['pointer'], () => 0),
    ],
  };
}

export function bcrypt(): SimulatedModule {
  return {
    name: 'bcrypt.dll',
    exports: [
      defineExport(
        'BCryptGenRandom',
        ['pointer', 'pointer', 'u32', 'u32'],
        (call, _algorithm, to, length) => {
          giveRandom(call, to, length);
          return 0;
        },
      ),
      defineExport(
        'BCryptOpenAlgorithmProvider',
        ['pointer', 'pointer', 'pointer', 'u32'],
        ({ memory }, target) => {
          memory.writePointer(target, PROVIDER);
          return 0;
        },
      ),
      defineExport('BCryptCloseAlgorithmProvider', ['pointer', 'u32'], () => 0),
    ],
  };
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >> 8) & 0xff);
const swap32 = (value: number): number => Buffer.from(new Uint32Array([value]).buffer).readUInt32BE();

/** Sockets: there is no network, and every function says so (winsock2.h). */
export function ws2_32(): SimulatedModule {
  const down = (name: string, parameters: number, result: bigint): SimulatedExport =>
    defineExport(
      name,
      Array.from({ length: parameters }, () => 'pointer' as const),
      (call) => fail(call, WSAENETDOWN, BigInt.asUintN(8 * call.pointerSize, result)),
    );
  const calls = [
    ['socket', 3],
    ['WSASocketA', 6],
    ['WSASocketW', 6],
    ['bind', 3],
    ['connect', 3],
    ['closesocket', 1],
    ['listen', 2],
    ['accept', 3],
    ['getsockname', 3],
    ['getpeername', 3],
    ['ioctlsocket', 3],
    ['recv', 4],
    ['recvfrom', 6],
    ['send', 4],
    ['sendto', 6],
    ['setsockopt', 5],
    ['getsockopt', 5],
    ['select', 5],
    ['shutdown', 2],
    ['WSAIoctl', 9],
  ] as const;
  const nobody = [
    ['getservbyname', 2],
    ['getservbyport', 2],
    ['gethostbyname', 1],
    ['gethostbyaddr', 3],
  ] as const;
  return {
    name: 'ws2_32.dll',
    exports: [
      ...calls.map(([name, count]) => down(name, count, -1n)),
      ...nobody.map(([name, count]) =>
        defineExport(
          name,
          Array.from({ length: count }, () => 'pointer' as const),
          (call) => fail(call, WSANOTINITIALISED_OR_NONE, 0n),
        ),
      ),
      defineExport('WSAStartup', ['u32', 'pointer'], ({ memory, pointerSize }, version, data) => {
        const bytes = new Uint8Array(pointerSize === 8 ? 408 : 400);
        new DataView(bytes.buffer).setUint16(0, version & 0xffff, true);
        new DataView(bytes.buffer).setUint16(2, 0x202, true);
        memory.write(data, bytes);
        return 0;
      }),
      defineExport('WSACleanup', [], () => 0),
      defineExport('WSAGetLastError', [], ({ process, thread }) =>
        thread.teb === undefined ? 0 : (process.environment?.getLastError(thread.teb) ?? 0),
      ),
      defineExport('WSASetLastError', ['u32'], setLastError),
      defineExport('__WSAFDIsSet', ['pointer', 'pointer'], () => 0),
      defineExport('gethostname', ['pointer', 'i32'], (call, to, room) => {
        if (room < 4) return fail(call, 10_014, -1);
        call.memory.write(to, Buffer.from('lab\0'));
        return 0;
      }),
      defineExport('htons', ['u32'], (_call, value) => swap16(value)),
      defineExport('ntohs', ['u32'], (_call, value) => swap16(value)),
      defineExport('htonl', ['u32'], (_call, value) => swap32(value)),
      defineExport('ntohl', ['u32'], (_call, value) => swap32(value)),
      defineExport('inet_addr', ['cstring'], (_call, text) => {
        const parts = text.split('.').map(Number);
        const isValid =
          parts.length === 4 && parts.every((part) => Number.isInteger(part) && part >= 0 && part < 256);
        return isValid ? BigInt(Buffer.from(parts).readUInt32LE()) : 0xffff_ffffn;
      }),
    ],
  };
}

/** Network interfaces: none (netioapi.h). */
export function iphlpapi(): SimulatedModule {
  return {
    name: 'iphlpapi.dll',
    exports: [
      defineExport('GetUnicastIpAddressTable', ['u32', 'pointer'], () => ERROR_NOT_SUPPORTED),
      defineExport('FreeMibTable', ['pointer'], () => {}),
    ],
  };
}
