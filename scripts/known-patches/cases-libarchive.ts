import { createHash } from 'node:crypto';
import type { CalledLibrary } from './caller.js';
import type { KnownCase } from './cases.js';

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex').slice(0, 12);

/** An `int64_t` argument: one on 64-bit machines, two on x86. */
const int64 = (a: CalledLibrary, value: bigint) =>
  a.pointerSize === 8
    ? [BigInt.asUintN(64, value)]
    : [BigInt.asUintN(32, value), BigInt.asUintN(32, value >> 32n)];

/** Names, sizes and data of all entries of an archive, and how reading ended. */
function entries(a: CalledLibrary, format: string, open: (archive: bigint) => number): string {
  const archive = a.call('archive_read_new');
  a.call(`archive_read_support_format_${format}`, archive);
  const opened = open(archive);
  const lines = [`opened ${opened}`];
  const entry = a.space(16);
  for (let count = 0; count < 8; count++) {
    const status = a.int('archive_read_next_header', archive, entry);
    if (status !== 0) {
      lines.push(`ends with ${status} ${a.text(a.call('archive_error_string', archive))}`);
      break;
    }
    const name = a.text(a.call('archive_entry_pathname', a.pointer(entry)));
    const space = a.space(64);
    // Data of the last entry only, so that the others are skipped.
    const isRead = name.endsWith('.read');
    const size = isRead ? a.int('archive_read_data', archive, space, 32) : 0;
    const text = size > 0 ? Buffer.from(a.read(space, size)).toString('latin1') : `${size}`;
    lines.push(isRead ? `${name}: ${text}` : name);
  }
  return lines.join(', ');
}

const inMemory = (a: CalledLibrary, bytes: Uint8Array) => (archive: bigint) =>
  a.int('archive_read_open_memory', archive, a.put(bytes), bytes.length);

const inFile = (a: CalledLibrary, bytes: Uint8Array) => (archive: bigint) =>
  a.int('archive_read_open_FILE', archive, a.call('known_file', 'C:\\known.bin', bytes, bytes.length));

/** WARC 1.0 records, each of a type, with the length that it says it has. */
function warc(records: readonly { type: string; length: string; body: string }[]): Uint8Array {
  const text = records.map(({ type, length, body }) =>
    [
      'WARC/1.0',
      `WARC-Type: ${type}`,
      ...(type === 'resource' ? ['WARC-Target-URI: file:///seen'] : []),
      'WARC-Date: 2020-01-02T03:04:05Z',
      `Content-Length: ${length}`,
      '',
      `${body}\r\n\r\n`,
    ].join('\r\n'),
  );
  return Buffer.from(text.join(''), 'latin1');
}

/** A ustar archive. */
function tar(files: readonly { name: string; data: Uint8Array; size?: number }[]): Uint8Array {
  const blocks = files.flatMap(({ name, data, size = data.length }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 'latin1');
    header.write('0000644\0', 100, 'latin1');
    header.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write('        0', 148, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return [header, data, Buffer.alloc((512 - (data.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const SECTOR = 2048;

/** An ISO 9660 image with one file that Rock Ridge says is compressed in blocks of so many bits. */
function iso(blockBits: number): Uint8Array {
  const both = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32LE(value);
    bytes.writeUInt32BE(value, 4);
    return bytes;
  };
  const record = (name: Buffer, sector: number, size: number, isFolder: boolean, system: Uint8Array) => {
    const fixed = 33 + name.length + ((name.length + 1) % 2);
    const bytes = Buffer.alloc(fixed + system.length + (system.length % 2));
    bytes[0] = bytes.length;
    both(sector).copy(bytes, 2);
    both(size).copy(bytes, 10);
    bytes.set([120, 1, 2, 3, 4, 5, 0], 18);
    bytes[25] = isFolder ? 2 : 0;
    bytes.set([1, 0, 0, 1], 28);
    bytes[32] = name.length;
    name.copy(bytes, 33);
    bytes.set(system, fixed);
    return bytes;
  };
  const field = (signature: string, ...data: number[]) =>
    Buffer.from([...Buffer.from(signature), data.length + 4, 1, ...data]);
  const data = Buffer.from('plain text that nobody has compressed');
  const zisofs = field('ZF', 0x70, 0x7a, 4, blockBits, ...[100, 0, 0, 0], ...[0, 0, 0, 100]);
  const folder = Buffer.concat([
    record(Buffer.from([0]), 18, SECTOR, true, field('SP', 0xbe, 0xef, 0)),
    record(Buffer.from([1]), 18, SECTOR, true, Buffer.alloc(0)),
    record(
      Buffer.from('FILE.;1'),
      19,
      data.length,
      false,
      Buffer.concat([field('NM', 0, ...Buffer.from('a.read')), zisofs]),
    ),
  ]);
  const volume = Buffer.alloc(SECTOR);
  volume.write('\x01CD001\x01', 0, 'latin1');
  volume.fill(' ', 8, 72, 'latin1');
  both(26).copy(volume, 80);
  volume.set([1, 0, 0, 1], 120);
  volume.set([1, 0, 0, 1], 124);
  volume.set([0, 8, 8, 0], 128);
  both(10).copy(volume, 132);
  volume.writeUInt32LE(20, 140);
  record(Buffer.from([0]), 18, SECTOR, true, Buffer.alloc(0)).copy(volume, 156);
  volume[881] = 1;
  const end = Buffer.alloc(SECTOR);
  end.write('\xffCD001\x01', 0, 'latin1');
  const image = Buffer.alloc(SECTOR * 26);
  volume.copy(image, 16 * SECTOR);
  end.copy(image, 17 * SECTOR);
  folder.copy(image, 18 * SECTOR);
  data.copy(image, 19 * SECTOR);
  return image;
}

/** An entry of a format that is written, by its name and size. */
function written(
  a: CalledLibrary,
  format: string,
  { name, size, options }: { name: string; size: bigint; options?: string },
): { status: number; bytes: Buffer } {
  const archive = a.call('archive_write_new');
  a.call(`archive_write_set_format_${format}`, archive);
  if (options !== undefined) a.call('archive_write_set_options', archive, options);
  if (options !== undefined) a.call('archive_write_set_passphrase', archive, 'secret');
  a.call('archive_write_set_bytes_per_block', archive, 512);
  const [space, used] = [a.space(0x4000), a.space(16)];
  a.call('archive_write_open_memory', archive, space, 0x4000, used);
  const entry = a.call('archive_entry_new');
  a.call('archive_entry_set_pathname', entry, name);
  a.call('archive_entry_set_filetype', entry, 0o100000);
  a.call('archive_entry_set_size', entry, ...int64(a, size));
  const status = a.int('archive_write_header', archive, entry);
  return { status, bytes: Buffer.from(a.read(space, 0x4000)) };
}

/** Name and prefix of each ustar header among blocks of 512 bytes. */
function ustarNames(bytes: Buffer): string {
  const text = (at: number, size: number) =>
    bytes
      .subarray(at, at + size)
      .toString('latin1')
      .replace(/\0.*/s, '');
  return Array.from({ length: bytes.length / 512 }, (_, i) => i * 512)
    .filter((at) => text(at + 257, 5) === 'ustar')
    .map((at) => `${text(at + 345, 155).length}+${text(at, 100).length}`)
    .join(' ');
}

const ordinaryWarc = warc([
  { type: 'conversion', length: '5', body: 'other' },
  { type: 'resource', length: '4', body: 'text' },
]);
const twoFiles = tar([
  { name: 'large', data: Buffer.alloc(300_000, 1) },
  { name: 'b.read', data: Buffer.from('behind it') },
]);

export const libarchive: Record<string, KnownCase> = {
  // That a record could not be skipped was not noticed. (A length that wraps is not read on Windows: `long` has 32 bits.)
  'CVE-2025-5916.patch': {
    crafted: (a) =>
      entries(a, 'warc', inMemory(a, warc([{ type: 'conversion', length: '100000', body: 'not so long' }]))),
    ordinary: (a) => entries(a, 'warc', inMemory(a, ordinaryWarc)),
  },
  // Prefix and name of 156 and 100 characters were put into 256 bytes, with a NUL behind them.
  'CVE-2025-5917.patch': {
    crafted: (a) => {
      const name = `${'p'.repeat(155)}/${'d'.repeat(60)}/${'n'.repeat(99)}/`;
      const { status, bytes } = written(a, 'pax', { name, size: 0n });
      return `${status} ${ustarNames(bytes)} ${digest(bytes)}`;
    },
    ordinary: (a) => {
      const { status, bytes } = written(a, 'pax', { name: `${'p'.repeat(120)}/${'n'.repeat(90)}`, size: 0n });
      return `${status} ${ustarNames(bytes)} ${digest(bytes)}`;
    },
  },
  // The size of an entry and of what encryption adds was more than can be counted.
  'CVE-2026-16517.patch': {
    crafted: (a) => {
      const options = 'zip:compression=store,zip:encryption=zipcrypt';
      return `header: ${written(a, 'zip', { name: 'a', size: 2n ** 63n - 1n, options }).status}`;
    },
    ordinary: (a) => {
      const { status, bytes } = written(a, 'zip', { name: 'a', size: 100n });
      return `header: ${status} ${digest(bytes)}`;
    },
  },
  // Blocks of 4 bytes, where 32 KB to 128 KB are permitted.
  'CVE-2026-4426_CVE-2026-5121.patch': {
    crafted: (a) => entries(a, 'iso9660', inMemory(a, iso(2))),
    ordinary: (a) => entries(a, 'iso9660', inMemory(a, iso(15))),
  },
  // What a client skips was cut into pieces of 1 GiB, whatever it can skip.
  'CVE-2025-5918-pre1.patch': {
    crafted: (a) => {
      const told = entries(a, 'tar', (archive) => {
        const bytes = tar([{ name: 'large', data: new Uint8Array(0), size: 3 * 2 ** 30 }]);
        return a.int('known_open', archive, bytes.subarray(0, 512), 512);
      });
      return `${told}; skipped ${a.int('known_skipped')} MiB at once`;
    },
    ordinary: (a) => entries(a, 'tar', inFile(a, twoFiles)),
  },
  // 0, which fseek returns, was taken for the place that was reached.
  'CVE-2025-5918_2.patch': {
    crafted: (a) => entries(a, 'tar', inFile(a, twoFiles)),
    ordinary: (a) => entries(a, 'tar', inFile(a, tar([{ name: 'b.read', data: Buffer.from('short') }]))),
  },
};
