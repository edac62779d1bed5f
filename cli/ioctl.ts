import { basename } from 'node:path';
import { bootOptionsFor, createEngine } from '../engine/index.js';
import { readImage } from '../image/index.js';
import { DeviceHandle } from '../lab/index.js';
import { Kernel } from '../loader/index.js';
import { parseArgument } from './arguments.js';
import { type CallRequest, domainFor, load } from './call-report.js';
import { UsageError } from './errors.js';
import { readInput } from './files.js';
import { commonGeneration, createPatcher, ENGINE_OF, type PatchReport } from './patcher.js';

export interface IoctlRequest extends Omit<CallRequest, 'function' | 'arguments'> {
  /** Control code. */
  readonly ioctl: number;
  /** `@FILE` or `"text"`; default: no input. */
  readonly in?: string;
  /** Bytes of output that there is room for. */
  readonly out: number;
  /** `\\.\Name`; default: the driver's first symbolic link. */
  readonly device?: string;
}

export interface IoctlReport {
  readonly image: string;
  readonly architecture: string;
  readonly device: string;
  readonly ioctl: string;
  /** What the requests were answered, in order. */
  readonly answers: readonly {
    readonly status: string;
    readonly information: number;
    readonly output: string;
  }[];
  readonly patches: readonly PatchReport[];
}

/** `hotpatch call driver.sys --ioctl`: a program opens the driver's device and sends a control request. */
export function ioctlReport(request: IoctlRequest): IoctlReport {
  if (request.pauseAt !== undefined) throw new UsageError('--pause-at cannot be combined with --ioctl');
  const image = readImage(readInput(request.image), { file: request.image });
  const { architecture } = image;
  if (architecture === undefined)
    throw new UsageError(`${request.image}: ${image.machine} images cannot be run`);
  const input = inputBytes(request.in);
  const engine = ENGINE_OF[commonGeneration(request.patch)];
  const { processors, seed, hotPatchTableSize, windowsBuild } = request;
  using kernel = Kernel.boot(
    bootOptionsFor(engine, { architecture, processors, seed, windowsBuild }, { hotPatchTableSize }),
  );
  const patcher = createPatcher(createEngine(engine, kernel));
  const domain = domainFor(kernel, image);
  for (const file of request.with) load(kernel, domain, file);
  load(kernel, domain, request.image, image, request.symbols);
  for (const file of request.patch) patcher.apply(file);
  if (request.unpatch) patcher.unapply();
  const device = request.device ?? firstDevice(kernel, request.image, domain);
  const own = kernel.processes.find((candidate) => !candidate.minimal && candidate.domain === domain);
  const process = own ?? kernel.createProcess({ name: 'hotpatch.exe' });
  using handle = DeviceHandle.open(kernel, process, device);
  const answers = Array.from({ length: Math.max(1, request.repeat) }, () => {
    const { status, information, output } = handle.deviceIoControl(request.ioctl, input, request.out);
    return {
      status: `0x${status.toString(16).padStart(8, '0')}`,
      information,
      output: Buffer.from(output).toString('hex'),
    };
  });
  return {
    image: basename(request.image),
    architecture,
    device,
    ioctl: `0x${request.ioctl.toString(16)}`,
    answers,
    patches: patcher.reports(),
  };
}

function inputBytes(text: string | undefined): Uint8Array {
  if (text === undefined) return new Uint8Array();
  const argument = parseArgument(text);
  if (typeof argument === 'bigint')
    throw new UsageError(`--in ${text}: write @FILE or '"text"', the bytes of the request`);
  return argument.bytes;
}

function firstDevice(kernel: Kernel, image: string, domain: ReturnType<typeof domainFor>): string {
  const [link] = kernel.io.world(domain).devices.names.links();
  if (link !== undefined) return `\\\\.\\${link}`;
  throw new UsageError(
    `${image}: its DriverEntry has made no symbolic link that a program could open; name a device with --device`,
  );
}
