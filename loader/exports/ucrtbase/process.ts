import { failFast, type ServiceCall, type SimulatedExport } from '../../dispatch/index.js';
import {
  CONTEXT_SET,
  finishThread,
  type GuestCall,
  type GuestProcedure,
  type ServiceResult,
} from '../../threads/index.js';
import { environmentVariable, environmentVector, setEnvironmentVariable } from '../environment-block.js';
import { cdecl } from '../simulated-export.js';
import { ERRNO, failed, invalidParameter, PROCESS, processData, THREAD, threadData } from './state.js';
import { flushAll } from './stream.js';

const FAST_FAIL_FATAL_APP_EXIT = 7;
const STRUNCATE_ROOM = 0x100;

/** Texts of the universal C runtime (errno.h). */
const MESSAGES: readonly string[] = [
  'No error',
  'Operation not permitted',
  'No such file or directory',
  'No such process',
  'Interrupted function call',
  'Input/output error',
  'No such device or address',
  'Arg list too long',
  'Exec format error',
  'Bad file descriptor',
  'No child processes',
  'Resource temporarily unavailable',
  'Not enough space',
  'Permission denied',
  'Bad address',
  'Unknown error',
  'Resource device',
  'File exists',
  'Improper link',
  'No such device',
  'Not a directory',
  'Is a directory',
  'Invalid argument',
  'Too many open files in system',
  'Too many open files',
  'Inappropriate I/O control operation',
  'Unknown error',
  'File too large',
  'No space left on device',
  'Invalid seek',
  'Read-only file system',
  'Too many links',
  'Broken pipe',
  'Domain error',
  'Result too large',
  'Unknown error',
  'Resource deadlock avoided',
  'Unknown error',
  'Filename too long',
  'No locks available',
  'Function not implemented',
  'Directory not empty',
  'Illegal byte sequence',
];
export const errorMessage = (error: number): string => MESSAGES[error] ?? 'Unknown error';

/** _onexit_table_t { _PVFV* _first, *_last, *_end; } */
function register(call: ServiceCall, table: bigint, routine: bigint): number {
  const { memory, pointerSize, process, thread } = call;
  const size = BigInt(pointerSize);
  let [first, last, end] = [0n, 1n, 2n].map((index) => memory.readPointer(table + index * size)) as [
    bigint,
    bigint,
    bigint,
  ];
  if (last === end) {
    const count = (last - first) / size;
    const room = count === 0n ? 32n : count * 2n;
    const moved = process.allocateHeap(thread, room * size);
    if (moved === 0n) return -1;
    memory.copy(moved, first, count * size);
    if (first !== 0n) process.programHeap.free(memory, first);
    [first, last, end] = [moved, moved + count * size, moved + room * size];
  }
  memory.writePointer(last, routine);
  for (const [index, value] of [first, last + size, end].entries())
    memory.writePointer(table + BigInt(index) * size, value);
  return 0;
}

/** Calls what was registered, the last first; what is registered meanwhile comes next. */
function* execute(call: ServiceCall, table: bigint): Generator<GuestCall, number, bigint> {
  const { memory, pointerSize } = call;
  const size = BigInt(pointerSize);
  for (;;) {
    const first = memory.readPointer(table);
    const last = memory.readPointer(table + size);
    if (first === last) return 0;
    memory.writePointer(table + size, last - size);
    const target = memory.readPointer(last - size);
    if (target !== 0n) yield { target, arguments: [] };
  }
}

/** Ends the process as exit does: what was registered, then what is in the streams. */
function* exit(
  call: ServiceCall,
  code: number,
  options: { runs: boolean; returns: boolean },
): GuestProcedure {
  if (options.runs) yield* execute(call, processData(call, PROCESS.atexit));
  flushAll(call);
  if (options.returns) return undefined;
  finishThread(call.thread, BigInt(code >>> 0));
  call.process.terminate(code);
  return CONTEXT_SET;
}

/** Calls each function of an array of pointers, as the runtime does with initialisers; stops at a result that is not 0. */
function* initialize(
  { memory, pointerSize }: ServiceCall,
  first: bigint,
  last: bigint,
  stop: boolean,
): GuestProcedure {
  for (let at = first; at < last; at += BigInt(pointerSize)) {
    const target = memory.readPointer(at);
    if (target === 0n) continue;
    const result = BigInt.asUintN(32, yield { target, arguments: [] });
    if (stop && result !== 0n) return result;
  }
  return 0;
}

/** Start, end, errno and environment of a program (process.h, stdlib.h, corecrt_startup.h). */
export function processExports(): SimulatedExport[] {
  const fatal = (name: string) =>
    cdecl(name, [], (call) => {
      flushAll(call);
      failFast(call, FAST_FAIL_FATAL_APP_EXIT, name);
      return CONTEXT_SET;
    });
  const constant = (name: string, value: number) => cdecl(name, [], () => value);
  const cell = (name: string, offset: bigint) => cdecl(name, [], (call) => processData(call, offset));
  const handler = (name: string, offset: bigint, ofThread = false) =>
    cdecl(name, ['pointer'], (call, routine) => {
      const at = ofThread ? threadData(call, offset) : processData(call, offset);
      if (at === undefined) return 0n;
      const before = call.memory.readPointer(at);
      call.memory.writePointer(at, routine);
      return before;
    });
  return [
    ...['abort', 'terminate', '_invoke_watson', '_purecall', '_invalid_parameter_noinfo_noreturn'].map(fatal),
    cdecl('_invalid_parameter_noinfo', [], (call) =>
      invalidParameter(call, 'a caller of _invalid_parameter_noinfo', 0),
    ),
    cdecl('_assert', ['cstring', 'cstring', 'u32'], (call, text, file, line) =>
      asserted(call, text, file, line),
    ),
    cdecl('_wassert', ['wstring', 'wstring', 'u32'], (call, text, file, line) =>
      asserted(call, text, file, line),
    ),
    cdecl('_initterm', ['pointer', 'pointer'], (call, first, last) => initialize(call, first, last, false)),
    cdecl('_initterm_e', ['pointer', 'pointer'], (call, first, last) => initialize(call, first, last, true)),
    cdecl('exit', ['i32'], (call, code) => exit(call, code, { runs: true, returns: false })),
    ...['_exit', '_Exit', 'quick_exit'].map((name) =>
      cdecl(name, ['i32'], (call, code) => exit(call, code, { runs: false, returns: false })),
    ),
    cdecl('_cexit', [], (call) => exit(call, 0, { runs: true, returns: true })),
    cdecl('_c_exit', [], () => {}),
    cdecl('_initialize_onexit_table', ['pointer'], ({ memory, pointerSize }, table) => {
      if (table === 0n) return -1;
      memory.write(table, new Uint8Array(3 * pointerSize));
      return 0;
    }),
    cdecl('_register_onexit_function', ['pointer', 'pointer'], (call, table, routine) =>
      table === 0n ? -1 : register(call, table, routine),
    ),
    cdecl('_execute_onexit_table', ['pointer'], (call, table) => (table === 0n ? -1 : execute(call, table))),
    ...['_crt_atexit', 'atexit'].map((name) =>
      cdecl(name, ['pointer'], (call, routine) => register(call, processData(call, PROCESS.atexit), routine)),
    ),
    ...['_onexit', '__dllonexit'].map((name) =>
      cdecl(name, ['pointer'], (call, routine) =>
        register(call, processData(call, PROCESS.atexit), routine) === 0 ? routine : 0n,
      ),
    ),
    cdecl('_crt_at_quick_exit', ['pointer'], (call, routine) =>
      register(call, processData(call, PROCESS.quickExit), routine),
    ),
    ...[
      '_configure_narrow_argv',
      '_configure_wide_argv',
      '_initialize_narrow_environment',
      '_initialize_wide_environment',
      '_configthreadlocale',
      '_seh_filter_dll',
      '_seh_filter_exe',
      '_set_fmode',
      '__setusermatherr',
      '_query_app_type',
      '_controlfp_default',
      '_register_thread_local_exe_atexit_callback',
      '_set_app_type',
      '__set_app_type',
      '__security_init_cookie_done',
      '_set_error_mode',
    ].map((name) => constant(name, 0)),
    cdecl('_errno', [], (call) => threadData(call, THREAD.errno) ?? 0n),
    cdecl('__doserrno', [], (call) => threadData(call, THREAD.doserrno) ?? 0n),
    cdecl('_get_errno', ['pointer'], (call, target) => {
      const at = threadData(call, THREAD.errno);
      call.memory.writeU32(target, at === undefined ? 0 : call.memory.readU32(at));
      return 0;
    }),
    cdecl('_set_errno', ['i32'], (call, value) => failed(call, value, 0)),
    ...([1, 2] as const).flatMap((unit) => {
      const encode = (text: string) => Buffer.from(`${text}\0`, unit === 1 ? 'latin1' : 'utf16le');
      const prefix = unit === 1 ? '' : '_w';
      const name = (text: string) =>
        unit === 1 ? text : text.replace('str', 'wcs').replace(/^_?/, unit === 2 ? '_' : '');
      const text = unit === 1 ? ('cstring' as const) : ('wstring' as const);
      const variables = environmentExports(unit, prefix, text, encode);
      return [
        cdecl(name('strerror'), ['i32'], (call, error) => {
          const at = threadData(call, unit === 1 ? THREAD.strerror : THREAD.wcserror);
          if (at === undefined) return 0n;
          call.memory.write(at, encode(errorMessage(error)));
          return at;
        }),
        cdecl(name('strerror_s'), ['pointer', 'size', 'i32'], (call, to, room, error) => {
          if (to === 0n || room === 0n) return invalidParameter(call, 'strerror_s', ERRNO.EINVAL);
          const count = room < STRUNCATE_ROOM ? Number(room) - 1 : STRUNCATE_ROOM;
          call.memory.write(to, encode(errorMessage(error).slice(0, count)));
          return 0;
        }),
        ...variables,
      ];
    }),
    cell('__p__fmode', PROCESS.fmode),
    cell('__p__commode', PROCESS.commode),
    cdecl('__p__environ', [], (call) => {
      environmentVector(call, 1);
      return processData(call, PROCESS.environ);
    }),
    cdecl('__p__wenviron', [], (call) => {
      environmentVector(call, 2);
      return processData(call, PROCESS.wenviron);
    }),
    cdecl('_get_initial_narrow_environment', [], (call) => environmentVector(call, 1)),
    cdecl('_get_initial_wide_environment', [], (call) => environmentVector(call, 2)),
    cdecl('__p___argc', [], (call) => {
      makeArguments(call);
      return processData(call, PROCESS.argc);
    }),
    cdecl('__p___argv', [], (call) => {
      makeArguments(call);
      return processData(call, PROCESS.argv);
    }),
    cdecl('__p___wargv', [], (call) => {
      makeArguments(call);
      return processData(call, PROCESS.wargv);
    }),
    cdecl('_get_narrow_winmain_command_line', [], (call) => {
      makeArguments(call);
      return call.memory.readPointer(call.memory.readPointer(processData(call, PROCESS.argv)));
    }),
    handler('_set_invalid_parameter_handler', PROCESS.invalidParameterHandler),
    handler('_set_thread_local_invalid_parameter_handler', THREAD.invalidParameterHandler, true),
    handler('_set_new_handler', PROCESS.newHandler),
    handler('_set_purecall_handler', PROCESS.purecallHandler),
    handler('set_terminate', THREAD.terminate, true),
    cdecl('signal', ['i32', 'pointer'], () => 0n),
    cdecl('raise', ['i32'], (call, signal) => {
      failFast(call, FAST_FAIL_FATAL_APP_EXIT, `raise(${signal})`);
      return CONTEXT_SET;
    }),
    cdecl('_getpid', [], ({ process }) => process.id),
    cdecl('system', ['pointer'], (call, command) => (command === 0n ? 0 : failed(call, ERRNO.ENOENT, -1))),
    cdecl('_CrtDbgReport', [], () => 0),
  ];
}

function asserted(call: ServiceCall, text: string, file: string, line: number): ServiceResult {
  failFast(call, FAST_FAIL_FATAL_APP_EXIT, `Assertion failed: ${text}, file ${file}, line ${line}`);
  return CONTEXT_SET;
}

/** argc, argv and wargv: the name of the program. */
function makeArguments(call: ServiceCall): void {
  const { memory, process, thread, pointerSize } = call;
  if (memory.readU32(processData(call, PROCESS.argc)) !== 0) return;
  const size = BigInt(pointerSize);
  for (const unit of [1, 2] as const) {
    const text = Buffer.from(`C:\\${process.name}\0`, unit === 1 ? 'latin1' : 'utf16le');
    const block = process.allocateHeap(thread, 2n * size + BigInt(text.length), true);
    memory.writePointer(block, block + 2n * size);
    memory.write(block + 2n * size, text);
    memory.writePointer(processData(call, unit === 1 ? PROCESS.argv : PROCESS.wargv), block);
  }
  memory.writeU32(processData(call, PROCESS.argc), 1);
}

function environmentExports(
  unit: 1 | 2,
  prefix: string,
  text: 'cstring' | 'wstring',
  encode: (text: string) => Uint8Array,
): SimulatedExport[] {
  const find = (call: ServiceCall, name: string): bigint => {
    const { memory, pointerSize } = call;
    const wanted = `${name.toLowerCase()}=`;
    for (let at = environmentVector(call, unit); at !== 0n; at += BigInt(pointerSize)) {
      const entry = memory.readPointer(at);
      if (entry === 0n) return 0n;
      const own = unit === 1 ? memory.readCString(entry) : memory.readUtf16(entry);
      if (own.toLowerCase().startsWith(wanted)) return entry + BigInt(wanted.length * unit);
    }
    return 0n;
  };
  return [
    cdecl(unit === 1 ? 'getenv' : '_wgetenv', [text], find),
    cdecl(
      unit === 1 ? 'getenv_s' : '_wgetenv_s',
      ['pointer', 'pointer', 'size', text],
      (call, needed, to, room, name) => {
        const value = environmentVariable(call, name);
        call.memory.writePointer(needed, value === undefined ? 0n : BigInt(value.length + 1));
        if (value === undefined) {
          if (to !== 0n && room > 0n) call.memory.fill(to, unit, 0);
          return 0;
        }
        if (to === 0n && room === 0n) return 0;
        if (BigInt(value.length) >= room) return failed(call, ERRNO.ERANGE, ERRNO.ERANGE);
        call.memory.write(to, encode(value));
        return 0;
      },
    ),
    cdecl(
      `${prefix === '' ? '_' : prefix}dupenv_s`,
      ['pointer', 'pointer', text],
      (call, target, count, name) => {
        const value = environmentVariable(call, name);
        const block =
          value === undefined ? 0n : call.process.allocateHeap(call.thread, (value.length + 1) * unit);
        if (value !== undefined) call.memory.write(block, encode(value));
        call.memory.writePointer(target, block);
        if (count !== 0n)
          call.memory.writePointer(count, value === undefined ? 0n : BigInt(value.length + 1));
        return 0;
      },
    ),
    ...[unit === 1 ? '_putenv' : '_wputenv'].map((name) =>
      cdecl(name, [text], (call, both) => {
        const equals = both.indexOf('=');
        if (equals <= 0) return invalidParameter(call, name, -1);
        setEnvironmentVariable(call, both.slice(0, equals), both.slice(equals + 1) || undefined);
        return 0;
      }),
    ),
    ...[unit === 1 ? '_putenv_s' : '_wputenv_s'].map((name) =>
      cdecl(name, [text, text], (call, variable, value) => {
        if (variable === '') return invalidParameter(call, name, ERRNO.EINVAL);
        setEnvironmentVariable(call, variable, value || undefined);
        return 0;
      }),
    ),
  ];
}
