import type { LoadedImage } from '../../loader/index.js';
import type { View } from '../view.js';
import { fromHex } from './packets.js';
import { programFile, symbolFile } from './symbol-file.js';

const FOLDER = '/hotpatch-lab/';
/** The program that GDB debugs; the images are its libraries. */
export const PROGRAM = `${FOLDER}kernel`;
/** Numbers of GDB's own errno list ("Errno Values"). */
const ERRNO = { ENOENT: 2, EBADF: 9, ENOSYS: 88 } as const;
const BIGGEST_READ = 0x1000;

/** Under which name GDB finds the symbols of an image. */
export function symbolFileName(image: LoadedImage): string {
  return `${FOLDER}${image.baseDllName}`;
}

/** Answers GDB's `vFile` packets: symbol files that are made when they are asked for, and nothing else. */
export class HostFiles {
  readonly #open = new Map<number, Uint8Array>();
  readonly #made = new WeakMap<LoadedImage, Uint8Array>();
  #next = 1;

  answer(packet: string, view: View): string {
    const [, operation = '', rest = ''] = /^vFile:(\w+):?(.*)$/s.exec(packet) ?? [];
    const args = rest.split(',');
    switch (operation) {
      case 'setfs':
        return 'F0';
      case 'open':
        return this.#openFile(fromHex(args[0] ?? ''), view);
      case 'pread':
        return this.#read(args.map((text) => Number.parseInt(text, 16)));
      case 'fstat':
        return this.#stat(Number.parseInt(rest, 16));
      case 'close':
        return this.#open.delete(Number.parseInt(rest, 16)) ? 'F0' : error(ERRNO.EBADF);
      default:
        return error(ERRNO.ENOSYS);
    }
  }

  #openFile(name: string, view: View): string {
    const image = view.images.find((candidate) => symbolFileName(candidate) === name);
    const bytes = name === PROGRAM ? programFile(view.architecture) : image && this.#symbols(image);
    if (bytes === undefined) return error(ERRNO.ENOENT);
    this.#open.set(this.#next, bytes);
    return `F${(this.#next++).toString(16)}`;
  }

  #symbols(image: LoadedImage): Uint8Array {
    const bytes = this.#made.get(image) ?? symbolFile(image);
    this.#made.set(image, bytes);
    return bytes;
  }

  #read([descriptor = 0, count = 0, offset = 0]: readonly number[]): string {
    const bytes = this.#open.get(descriptor);
    if (bytes === undefined) return error(ERRNO.EBADF);
    return attachment(bytes.subarray(offset, offset + Math.min(count, BIGGEST_READ)));
  }

  /** Only mode and size are filled in; the structure is big-endian ("struct stat"). */
  #stat(descriptor: number): string {
    const file = this.#open.get(descriptor);
    if (file === undefined) return error(ERRNO.EBADF);
    const bytes = new Uint8Array(64);
    const view = new DataView(bytes.buffer);
    const regularFileReadableByAll = 0o100444;
    view.setUint32(8, regularFileReadableByAll);
    view.setBigUint64(28, BigInt(file.length));
    return attachment(bytes);
  }
}

function error(errno: number): string {
  return `F-1,${errno.toString(16)}`;
}

function attachment(bytes: Uint8Array): string {
  return `F${bytes.length.toString(16)};${Buffer.from(bytes).toString('latin1')}`;
}
