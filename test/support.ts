import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BootOptions, Lab, readImage } from 'hotpatch-lab';

const folder = process.env.HOTPATCH_FIXTURES ?? fileURLToPath(new URL('fixtures/', import.meta.url));

/** Path of a test image: `x64/base/demo.dll`, checked in or, with HOTPATCH_FIXTURES, built just now. */
export function fixture(path: string): string {
  return join(folder, path);
}

export function fixtureBytes(path: string): Uint8Array {
  return new Uint8Array(readFileSync(fixture(path)));
}

/** A fixture whose bytes a test has changed. */
export function damaged(path: string, change: (view: DataView, bytes: Uint8Array) => Uint8Array | undefined) {
  const bytes = fixtureBytes(path);
  const changed = change(new DataView(bytes.buffer), bytes) ?? bytes;
  return readImage(changed, { file: path });
}

/** A machine with hpimport.dll and demo.dll loaded: what the demo patches are for. */
export async function bootDemo(
  architecture: BootOptions['architecture'] = 'x64',
  options: Partial<BootOptions> = {},
) {
  const lab = await Lab.boot({ architecture, ...options });
  await lab.loadImage(fixture(`${architecture}/hpimport.dll`));
  const demo = await lab.loadImage(fixture(`${architecture}/base/demo.dll`));
  return { lab, demo, [Symbol.dispose]: () => lab[Symbol.dispose]() };
}
