import { ntStatusNamed } from '../image/index.js';
import { type ImageDomain, type Kernel, KernelError, type Process, type Thread } from '../loader/index.js';

/** What became of a request: what DeviceIoControl, ReadFile or WriteFile would have told the program. */
export interface DeviceAnswer {
  /** NTSTATUS, unsigned. */
  readonly status: number;
  /** IoStatus.Information: how many bytes were transferred, unless the driver means something else by it. */
  readonly information: number;
  /** The first `information` bytes of the output buffer, at most its size. */
  readonly output: Uint8Array;
}

/** A request that is on its way: `lab.run({ until: request.thread.returns() })` lets it end. */
export interface DeviceRequest {
  /** The thread of the program that makes the request. */
  readonly thread: Thread;
  /** @throws KernelError `callDidNotReturn` as long as the thread has not returned */
  answer(): DeviceAnswer;
}

/** How a device is opened. */
export interface OpenDeviceOptions {
  /** Who opens it. Default: a program of the machine's own width, `lab.exe`. */
  readonly process?: Process;
  /** ACCESS_MASK. Default GENERIC_READ | GENERIC_WRITE. */
  readonly access?: number;
}

const GENERIC_READ_WRITE = 0xc000_0000;
const SYNCHRONIZE = 0x10_0000;
const FILE_SHARE_READ_WRITE = 3;
const FILE_OPEN = 1;
const FILE_SYNCHRONOUS_IO_NONALERT = 0x20;
const OBJ_CASE_INSENSITIVE = 0x40;
const STATUS_PENDING = 0x103;

/** A device could not be opened: there is none of that name, or its driver refuses. */
export class DeviceOpenError extends Error {
  override readonly name = 'DeviceOpenError';
  /** The rule of every such error. */
  readonly rule = 'deviceNotOpened';
  /** What NtCreateFile returned; where the house has no name for it, the name is the number. */
  readonly status: { readonly name: string; readonly value: number };
  /** The message. */
  readonly reason: string;
  /** The path. */
  readonly place: string;

  constructor(
    /** As it was asked for: `\\.\Packets`. */
    readonly path: string,
    /** NTSTATUS, unsigned. */
    status: number,
  ) {
    const number = `0x${status.toString(16)}`;
    super(`${path} cannot be opened: ${number}`);
    this.status = { name: ntStatusNamed(status) ?? number, value: status };
    this.reason = this.message;
    this.place = path;
  }
}

/** `\\.\Name` as NtCreateFile takes it. */
function ntPath(path: string): string {
  return path.replace(/^\\\\[.?]\\/, '\\??\\');
}

/** Memory of a program that a request needs, until it is disposed of. */
class ProgramMemory implements Disposable {
  readonly #blocks: { readonly address: bigint; readonly size: number }[] = [];

  constructor(private readonly domain: ImageDomain) {}

  /** The bytes end at the end of a page, so that what is read or written behind them is found. */
  put(bytes: Uint8Array): bigint {
    const size = Math.max(1, bytes.length);
    const base = this.domain.allocateMemory('pool', size);
    const pages = Math.ceil(size / 0x1000) * 0x1000;
    const address = base + BigInt((pages - size) & ~15);
    this.domain.addressSpace.write(address, bytes);
    this.#blocks.push({ address: base, size });
    return address;
  }

  read(address: bigint, length: number): Uint8Array {
    return this.domain.addressSpace.read(address, length);
  }

  [Symbol.dispose](): void {
    for (const { address, size } of this.#blocks) this.domain.freeMemory(address, size);
    this.#blocks.length = 0;
  }
}

/** An open device, used by a program: each request runs the driver's real dispatch routines. */
export class DeviceHandle implements Disposable {
  #open = true;

  private constructor(
    private readonly kernel: Kernel,
    /** The program that has opened it. */
    readonly process: Process,
    /** As it was opened: `\\.\Packets`. */
    readonly path: string,
    /** The program's HANDLE. */
    readonly handle: bigint,
  ) {}

  /** NtCreateFile by a thread of the process. @throws DeviceOpenError with the status */
  static open(kernel: Kernel, process: Process, path: string, access = GENERIC_READ_WRITE): DeviceHandle {
    const { domain } = process;
    const { pointerSize } = domain.architecture;
    using memory = new ProgramMemory(domain);
    const text = Buffer.from(ntPath(path), 'utf16le');
    const string = new PointerWriter(2 * pointerSize, pointerSize);
    string.u16(0, text.length);
    string.u16(2, text.length);
    string.pointer(pointerSize, memory.put(text));
    const attributes = new PointerWriter(6 * pointerSize, pointerSize);
    attributes.u32(0, 6 * pointerSize);
    attributes.pointer(2 * pointerSize, memory.put(string.bytes));
    attributes.u32(3 * pointerSize, OBJ_CASE_INSENSITIVE);
    const handleAt = memory.put(new Uint8Array(pointerSize));
    const block = memory.put(new Uint8Array(2 * pointerSize));
    const status = callService(kernel, process, 'NtCreateFile', [
      handleAt,
      (access | SYNCHRONIZE) >>> 0,
      memory.put(attributes.bytes),
      block,
      0,
      0,
      FILE_SHARE_READ_WRITE,
      FILE_OPEN,
      FILE_SYNCHRONOUS_IO_NONALERT,
      0,
      0,
    ]);
    if (status >>> 31 !== 0) throw new DeviceOpenError(path, status);
    return new DeviceHandle(kernel, process, path, pointerAt(memory.read(handleAt, pointerSize)));
  }

  /** DeviceIoControl: sends `input`, with room for `outputLength` bytes of output, and waits for the answer. */
  deviceIoControl(code: number, input: Uint8Array = new Uint8Array(), outputLength = 0): DeviceAnswer {
    return this.#wait(this.startDeviceIoControl(code, input, outputLength));
  }

  /** As {@link deviceIoControl}; the request is made by a thread that runs when `lab.run` does. */
  startDeviceIoControl(code: number, input: Uint8Array = new Uint8Array(), outputLength = 0): DeviceRequest {
    return this.#start('NtDeviceIoControlFile', input, outputLength, (block, from, to) => [
      this.handle,
      0,
      0,
      0,
      block,
      code >>> 0,
      from,
      input.length,
      to,
      outputLength,
    ]);
  }

  /** ReadFile */
  read(length: number): DeviceAnswer {
    return this.#wait(this.startRead(length));
  }

  /** Begins to read `length` bytes (NtReadFile). */
  startRead(length: number): DeviceRequest {
    return this.#start('NtReadFile', new Uint8Array(), length, (block, _from, to) => [
      this.handle,
      0,
      0,
      0,
      block,
      to,
      length,
      0,
      0,
    ]);
  }

  /** WriteFile */
  write(bytes: Uint8Array): DeviceAnswer {
    return this.#wait(
      this.#start('NtWriteFile', bytes, 0, (block, from) => [
        this.handle,
        0,
        0,
        0,
        block,
        from,
        bytes.length,
        0,
        0,
      ]),
    );
  }

  /** CloseHandle: the driver sees IRP_MJ_CLEANUP and IRP_MJ_CLOSE, unless the system has stopped. */
  close(): void {
    const hasStopped = this.kernel.bugChecks.current !== undefined;
    if (!this.#open || this.process.terminated || hasStopped || this.kernel.machine.isDisposed) return;
    this.#open = false;
    callService(this.kernel, this.process, 'NtClose', [this.handle]);
  }

  /** Closes the handle. */
  [Symbol.dispose](): void {
    this.close();
  }

  #start(
    service: string,
    input: Uint8Array,
    outputLength: number,
    parameters: (block: bigint, from: bigint, to: bigint) => readonly (bigint | number)[],
  ): DeviceRequest {
    const { domain } = this.process;
    const { pointerSize } = domain.architecture;
    const memory = new ProgramMemory(domain);
    const from = input.length === 0 ? 0n : memory.put(input);
    const to = outputLength === 0 ? 0n : memory.put(new Uint8Array(outputLength));
    const block = memory.put(new Uint8Array(2 * pointerSize));
    const thread = this.kernel.io.owner.createThread(
      domain.services.address('ntdll.dll', service),
      parameters(block, from, to),
      { domain, name: service },
    );
    let answer: DeviceAnswer | undefined;
    return {
      thread,
      answer: () => {
        if (answer !== undefined) return answer;
        if (thread.returnValue === undefined)
          throw new KernelError({
            rule: 'callDidNotReturn',
            status: 'STATUS_PENDING',
            place: this.path,
            message: `${service} has not returned`,
            hint: 'let it run: lab.run({ until: thread.returns() })',
          });
        const status = Number(BigInt.asUintN(32, thread.returnValue));
        const isError = status >>> 30 === 3 || status === STATUS_PENDING;
        const information = isError
          ? 0
          : Number(pointerAt(memory.read(block + BigInt(pointerSize), pointerSize)));
        const length = Math.min(information, outputLength);
        answer = { status, information, output: memory.read(to, length) };
        memory[Symbol.dispose]();
        this.kernel.destroyThread(thread);
        return answer;
      },
    };
  }

  #wait(request: DeviceRequest): DeviceAnswer {
    this.kernel.io.owner.runAlone(request.thread);
    return request.answer();
  }
}

/** Calls a stub of ntdll on a thread of the process and returns the status. */
function callService(
  kernel: Kernel,
  { domain }: Process,
  name: string,
  parameters: readonly (bigint | number)[],
): number {
  const target = domain.services.address('ntdll.dll', name);
  const { returnValue = 0n } = kernel.io.owner.callThread(target, parameters, { domain, name });
  return Number(BigInt.asUintN(32, returnValue));
}

const pointerAt = (bytes: Uint8Array): bigint => {
  const buffer = Buffer.from(bytes);
  return bytes.length === 8 ? buffer.readBigUInt64LE() : BigInt(buffer.readUInt32LE());
};

class PointerWriter {
  readonly bytes: Buffer;

  constructor(
    size: number,
    private readonly pointerSize: 4 | 8,
  ) {
    this.bytes = Buffer.alloc(size);
  }

  u16(at: number, value: number): void {
    this.bytes.writeUInt16LE(value, at);
  }

  u32(at: number, value: number): void {
    this.bytes.writeUInt32LE(value >>> 0, at);
  }

  pointer(at: number, value: bigint): void {
    if (this.pointerSize === 8) this.bytes.writeBigUInt64LE(value, at);
    else this.bytes.writeUInt32LE(Number(value), at);
  }
}
