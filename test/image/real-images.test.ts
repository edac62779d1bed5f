import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readImage } from '../../image/index.js';
import { compareWithReadobj, haveReadobj } from './readobj/compare.js';
import { fetchedImages, fixtureImages, inRepository, nodePtyImages, variousImages } from './real-images.js';

const images = [...fixtureImages, ...variousImages, ...nodePtyImages, ...fetchedImages];

describe.skipIf(!haveReadobj)('every line that llvm-readobj prints is what we read', () => {
  test.each(images)('%s', { timeout: 300_000 }, (file) => {
    const { lines, differences } = compareWithReadobj(inRepository(file));
    expect(differences).toEqual([]);
    expect(lines).toBeGreaterThan(200);
  });
});

const open = (file: string) => readImage(readFileSync(inRepository(file)), { file });

describe('checksums', () => {
  test.each([...fixtureImages, ...nodePtyImages.filter((file) => file.includes('/conpty/'))])(
    '%s carries the one we compute',
    (file) => {
      const image = open(file);
      expect(image.computedCheckSum).toBe(image.optionalHeader.checkSum);
    },
  );
});

test('Microsoft signed what it ships in conpty/, and nobody signed the rest', () => {
  const signed = nodePtyImages.filter((file) => open(file).isSigned);
  expect(signed.map((file) => file.replace(/.*prebuilds./, ''))).toEqual([
    'win32-x64/conpty/OpenConsole.exe',
    'win32-x64/conpty/conpty.dll',
    'win32-arm64/conpty/OpenConsole.exe',
    'win32-arm64/conpty/conpty.dll',
  ]);
  const WIN_CERT_TYPE_PKCS_SIGNED_DATA = 2;
  for (const file of signed) {
    expect(open(file).certificates.map(({ certificateType }) => certificateType)).toEqual([
      WIN_CERT_TYPE_PKCS_SIGNED_DATA,
    ]);
  }
});

test.each(images)('%s: laid out, each section begins with its file bytes', (file) => {
  const image = open(file);
  const memory = image.layOut();
  expect(memory.length).toBe(image.optionalHeader.sizeOfImage);
  for (const section of image.sections) {
    const length = Math.min(16, section.fileSize);
    const inFile = image.bytes.subarray(section.pointerToRawData, section.pointerToRawData + length);
    expect(Buffer.from(memory.subarray(section.virtualAddress, section.virtualAddress + length))).toEqual(
      Buffer.from(inFile),
    );
  }
});
