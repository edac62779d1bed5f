import {
  type BuiltImage,
  type CodeOptions,
  type ImageArchitecture,
  ImageBuilder,
} from '../../image/index.js';

const RETURN_42: Readonly<Record<ImageArchitecture, readonly number[]>> = {
  x64: [0xb8, 42, 0, 0, 0, 0xc3],
  x86: [0xb8, 42, 0, 0, 0, 0xc3],
  arm64: [0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6],
};

const UNWIND: Readonly<Record<ImageArchitecture, CodeOptions>> = {
  x64: { unwind: [0x01, 0x04, 0x02, 0x00, 0x04, 0x42, 0x02, 0x30] },
  arm64: { unwind: 0x0100_0009 },
  x86: {},
};

/** One small image with something in every directory that the builder knows. */
export function richImage(architecture: ImageArchitecture): BuiltImage {
  const ret = RETURN_42[architecture];
  return new ImageBuilder(architecture, { name: 'rich.sys', timeDateStamp: 0x5f123456 })
    .code('answer', ret, UNWIND[architecture])
    .code('second', ret)
    .data('counter', [1, 2, 3, 4])
    .uninitialized('zeros', 0x3000)
    .pointers('table', ['answer', 'second', 'counter'])
    .import('ntoskrnl.exe', ['DbgPrint', 7, 'ExAllocatePool2'])
    .import('hal.dll', ['HalReturnToFirmware'])
    .export('answer')
    .export('second', { name: false })
    .export('counter', { ordinal: 9 })
    .forward('forwarded', 'NTDLL.RtlAllocateHeap')
    .hotPatchCompatible()
    .codeView(
      'rich.pdb',
      Uint8Array.from({ length: 16 }, (_, i) => i),
    )
    .loadConfig({ securityCookie: 'counter' })
    .guardFunctions(['second', 'answer'])
    .hotPatchTable((layout) => ({
      sequenceNumber: 3,
      extraPatchSize: 1,
      bases: [
        {
          originalTimeDateStamp: 0x5f000000,
          originalCheckSum: 0x1234,
          hashes: { sha256: new Uint8Array(32).fill(1), sha1: new Uint8Array(20).fill(2) },
          chunks: [
            {
              direction: 'backward',
              type: 'ABSOLUTE',
              records: [{ rva: layout.rva('table'), target: layout.rva('counter') }],
            },
            {
              direction: 'forward',
              type: 'FUNCTION',
              records: [
                {
                  rva: 0x1010,
                  target: layout.rva('answer'),
                  originalBytes: Uint8Array.from(ret.slice(0, 4)),
                },
              ],
            },
          ],
        },
      ],
    }))
    .entryPoint('answer')
    .build();
}
