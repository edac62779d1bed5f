import { SECOND, UNIX_EPOCH } from '../common/index.js';
import { failFast, type ServiceCall, type SimulatedExport } from '../dispatch/index.js';
import { CONTEXT_SET, finishThread } from '../threads/index.js';
import { fail, giveText } from './disk-access.js';
import {
  environment,
  environmentBlock,
  environmentVariable,
  setEnvironmentVariable,
} from './environment-block.js';
import { defineExport, wide } from './simulated-export.js';
import { flushAll } from './ucrtbase/stream.js';

const ERROR = { envVarNotFound: 203, invalidParameter: 87, fileNotFound: 2 } as const;
const PROCESSOR = { x64: 9, arm64: 12, x86: 0 } as const;
const ALLOCATION_GRANULARITY = 0x1_0000;

/** SYSTEMTIME: eight WORDs. */
function systemTime(ticks: bigint): Uint8Array {
  const date = new Date(Number((ticks - UNIX_EPOCH) / 10_000n));
  const fields = [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDay(),
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
    date.getUTCMilliseconds(),
  ];
  return new Uint8Array(Uint16Array.from(fields).buffer);
}

/** SYSTEM_INFO: architecture, page size, range of addresses, mask and number of processors, granularity. */
function systemInfo({ kernel, domain, pointerSize, thread }: ServiceCall): Uint8Array {
  const bytes = new Uint8Array(pointerSize === 8 ? 48 : 36);
  const view = new DataView(bytes.buffer);
  const pointer = (at: number, value: bigint) =>
    pointerSize === 8 ? view.setBigUint64(at, value, true) : view.setUint32(at, Number(value), true);
  const { start, end } = domain.table.range;
  const { length } = kernel.machine.processors;
  view.setUint16(0, PROCESSOR[thread.architecture.name], true);
  view.setUint32(4, 0x1000, true);
  pointer(8, start);
  pointer(8 + pointerSize, end - 1n);
  pointer(8 + 2 * pointerSize, (1n << BigInt(length)) - 1n);
  const rest = 8 + 3 * pointerSize;
  view.setUint32(rest, length, true);
  view.setUint32(rest + 4, 8664, true);
  view.setUint32(rest + 8, ALLOCATION_GRANULARITY, true);
  return bytes;
}

function environmentNames(unit: 1 | 2): SimulatedExport[] {
  const letter = unit === 1 ? 'A' : 'W';
  const text = unit === 1 ? ('cstring' as const) : ('wstring' as const);
  return [
    defineExport(`GetEnvironmentVariable${letter}`, [text, 'pointer', 'u32'], (call, name, to, room) => {
      const value = environmentVariable(call, name);
      return value === undefined
        ? fail(call, ERROR.envVarNotFound, 0)
        : giveText(call, to, room, value, unit);
    }),
    defineExport(`SetEnvironmentVariable${letter}`, [text, 'pointer'], (call, name, value) => {
      if (name === '') return fail(call, ERROR.invalidParameter, 0);
      const given =
        value === 0n ? undefined : unit === 1 ? call.memory.readCString(value) : call.memory.readUtf16(value);
      setEnvironmentVariable(call, name, given);
      return 1;
    }),
    defineExport(`ExpandEnvironmentStrings${letter}`, [text, 'pointer', 'u32'], (call, source, to, room) => {
      const expanded = source.replace(
        /%([^%]+)%/g,
        (all, name: string) => environmentVariable(call, name) ?? all,
      );
      giveText(call, to, room, expanded, unit);
      return expanded.length + 1;
    }),
    defineExport(`FreeEnvironmentStrings${letter}`, ['pointer'], (call, block) => {
      if (unit === 1) call.process.programHeap.free(call.memory, block);
      return 1;
    }),
    defineExport(`GetCommandLine${letter}`, [], (call) => commandLine(call, unit)),
    defineExport(`GetStartupInfo${letter}`, ['pointer'], ({ memory, pointerSize }, target) => {
      const bytes = new Uint8Array(pointerSize === 8 ? 104 : 68);
      new DataView(bytes.buffer).setUint32(0, bytes.length, true);
      memory.write(target, bytes);
    }),
    defineExport(`SearchPath${letter}`, [text, text, text, 'u32', 'pointer', 'pointer'], (call) =>
      fail(call, ERROR.fileNotFound, 0),
    ),
    defineExport(
      `CreateProcess${letter}`,
      Array.from({ length: 10 }, () => 'pointer' as const),
      (call) => fail(call, ERROR.fileNotFound, 0),
    ),
    defineExport(`GetVersionEx${letter}`, ['pointer'], (call, target) => {
      const bytes = new Uint8Array(20);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, call.memory.readU32(target), true);
      for (const [index, value] of [10, 0, 22631, 2].entries()) view.setUint32(4 + 4 * index, value, true);
      call.memory.write(target, bytes);
      return 1;
    }),
  ];
}

/** The command line is the program's path in quotation marks; made once, behind the arguments of the runtime. */
function commandLine(call: ServiceCall, unit: 1 | 2): bigint {
  const { memory, process } = call;
  const at = (process.environment?.runtimeData ?? 0n) + (unit === 1 ? 0x3000n : 0x3400n);
  const text = `"C:\\${process.name}"\0`;
  memory.write(at, Buffer.from(text, unit === 1 ? 'latin1' : 'utf16le'));
  return at;
}

/** Time, machine, environment and the end of a process (sysinfoapi.h, timezoneapi.h, processenv.h). */
export function userSystem(): SimulatedExport[] {
  const info = (name: string) =>
    defineExport(name, ['pointer'], (call, target) => call.memory.write(target, systemInfo(call)));
  const time = (name: string) =>
    defineExport(name, ['pointer'], (call, target) => call.memory.write(target, systemTime(call.kernel.now)));
  return [
    ...environmentNames(1),
    ...environmentNames(2),
    ...['GetEnvironmentStringsW'].map((name) => defineExport(name, [], environmentBlock)),
    ...['GetEnvironmentStrings', 'GetEnvironmentStringsA'].map((name) =>
      defineExport(name, [], (call) => {
        const text = `${environment(call)
          .map(([own, value]) => `${own}=${value}\0`)
          .join('')}\0`;
        const block = call.process.allocateHeap(call.thread, text.length);
        if (block !== 0n) call.memory.write(block, Buffer.from(text, 'latin1'));
        return block;
      }),
    ),
    defineExport('GetTickCount', [], ({ kernel }) => BigInt.asUintN(32, kernel.scheduler.time / 10_000n)),
    defineExport('GetTickCount64', [], ({ kernel }) => wide(kernel.scheduler.time / 10_000n)),
    defineExport('timeGetTime', [], ({ kernel }) => BigInt.asUintN(32, kernel.scheduler.time / 10_000n)),
    defineExport('QueryPerformanceFrequency', ['pointer'], ({ memory }, target) => {
      memory.writeU64(target, SECOND);
      return 1;
    }),
    time('GetSystemTime'),
    time('GetLocalTime'),
    ...['GetSystemTimePreciseAsFileTime'].map((name) =>
      defineExport(name, ['pointer'], (call, target) => call.memory.writeU64(target, call.kernel.now)),
    ),
    defineExport('FileTimeToSystemTime', ['pointer', 'pointer'], (call, source, target) => {
      const ticks = call.memory.readU64(source);
      if (ticks >= 1n << 63n) return fail(call, ERROR.invalidParameter, 0);
      call.memory.write(target, systemTime(ticks));
      return 1;
    }),
    defineExport('SystemTimeToFileTime', ['pointer', 'pointer'], (call, source, target) => {
      const [year = 0, month = 0, , day = 0, hour = 0, minute = 0, second = 0, ms = 0] = new Uint16Array(
        call.memory.read(source, 16).slice().buffer,
      );
      const date = new Date(0);
      date.setUTCFullYear(year, month - 1, day);
      const isValid =
        year >= 1601 && year <= 30827 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
      if (!isValid || hour > 23 || minute > 59 || second > 59 || ms > 999)
        return fail(call, ERROR.invalidParameter, 0);
      date.setUTCHours(hour, minute, second, ms);
      call.memory.writeU64(target, BigInt(date.getTime()) * 10_000n + UNIX_EPOCH);
      return 1;
    }),
    ...['FileTimeToLocalFileTime', 'LocalFileTimeToFileTime'].map((name) =>
      defineExport(name, ['pointer', 'pointer'], ({ memory }, source, target) => {
        memory.writeU64(target, memory.readU64(source));
        return 1;
      }),
    ),
    defineExport('CompareFileTime', ['pointer', 'pointer'], ({ memory }, a, b) => {
      const [left, right] = [memory.readU64(a), memory.readU64(b)];
      return left < right ? -1 : left > right ? 1 : 0;
    }),
    // TIME_ZONE_ID_UNKNOWN: UTC, and no summer time.
    defineExport('GetTimeZoneInformation', ['pointer'], ({ memory }, target) => {
      memory.fill(target, 172, 0);
      return 0;
    }),
    info('GetSystemInfo'),
    info('GetNativeSystemInfo'),
    defineExport('GetVersion', [], () => 0x5867_000an),
    defineExport('IsWow64Process', ['pointer', 'pointer'], ({ memory, process }, _process, result) => {
      memory.writeU32(result, process.wow64 ? 1 : 0);
      return 1;
    }),
    // MEMORYSTATUSEX: length, load, then totals and what is available.
    defineExport('GlobalMemoryStatusEx', ['pointer'], ({ memory, kernel }, target) => {
      const total = BigInt(kernel.machine.memory.frames) * 0x1000n;
      const bytes = new Uint8Array(64);
      const view = new DataView(bytes.buffer);
      view.setUint32(0, 64, true);
      view.setUint32(4, 50, true);
      [total, total / 2n, total * 2n, total, 1n << 47n, 1n << 46n, 0n].forEach((value, index) => {
        view.setBigUint64(8 + 8 * index, value, true);
      });
      memory.write(target, bytes);
      return 1;
    }),
    defineExport('ExitProcess', ['u32'], (call, code) => {
      flushAll(call);
      finishThread(call.thread, BigInt(code));
      call.process.terminate(code);
      return CONTEXT_SET;
    }),
    defineExport('FatalAppExitA', ['u32', 'cstring'], (call, _action, text) => {
      failFast(call, 7, text);
      return CONTEXT_SET;
    }),
    defineExport('SetErrorMode', ['u32'], () => 0),
    defineExport('GetErrorMode', [], () => 0),
    defineExport('MulDiv', ['i32', 'i32', 'i32'], (_call, a, b, c) => {
      if (c === 0) return -1;
      const product = BigInt(a) * BigInt(b);
      const divisor = BigInt(c);
      const isNegative = product < 0n !== divisor < 0n && product !== 0n;
      const [x, y] = [product < 0n ? -product : product, divisor < 0n ? -divisor : divisor];
      const rounded = (2n * x + y) / (2n * y);
      return rounded > 0x7fff_ffffn ? -1 : Number(isNegative ? -rounded : rounded);
    }),
    defineExport('GetProcessId', ['pointer'], ({ process }) => process.id),
    defineExport('GetPriorityClass', ['pointer'], () => 0x20),
    defineExport('SetPriorityClass', ['pointer', 'u32'], () => 1),
    defineExport(
      'GetProcessTimes',
      ['pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
      (call, _process, ...targets) => {
        for (const [index, value] of [
          call.kernel.now - call.kernel.scheduler.time,
          0n,
          0n,
          call.kernel.scheduler.time,
        ].entries())
          call.memory.writeU64(targets[index] ?? 0n, value);
        return 1;
      },
    ),
  ];
}
