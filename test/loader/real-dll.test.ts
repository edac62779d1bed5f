import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readImage } from 'hotpatch-lab/image';
import { describe, expect, it } from 'vitest';
import { Kernel } from '../../loader/index.js';

const E_INVALIDARG = 0x80070057n;

function conpty(architecture: 'x64' | 'arm64') {
  const path = `../../node_modules/node-pty/prebuilds/win32-${architecture}/conpty/conpty.dll`;
  const file = fileURLToPath(new URL(path, import.meta.url));
  return readImage(new Uint8Array(readFileSync(file)), { file });
}

/** The real DLL of Windows Terminal, signed by Microsoft, that the npm package node-pty carries. */
describe.each(['x64', 'arm64'] as const)("Microsoft's conpty.dll on %s", (architecture) => {
  it.each([false, true])(
    'runs its DllMain and its C runtime, Control Flow Guard enforced: %s',
    (controlFlowGuard) => {
      using kernel = Kernel.boot({ architecture });
      const process = kernel.createProcess({ name: 'terminal.exe', controlFlowGuard });
      const dll = process.loadImage(conpty(architecture));
      expect(dll.initialized).toBe(true);
      expect(dll.image.isSigned).toBe(true);
      expect(dll.imports.length).toBeGreaterThan(80);
      expect(dll.imports.filter(({ origin }) => origin === 'simulated').length).toBeGreaterThan(40);
    },
  );

  it('runs exported functions that check their arguments', () => {
    using kernel = Kernel.boot({ architecture });
    const process = kernel.createProcess({ name: 'terminal.exe' });
    const dll = process.loadImage(conpty(architecture));
    const call = (name: string) => process.call64(dll.symbol(name), [0, 0, 0, 0]);
    expect(call('ClosePseudoConsole')).toBe(0n);
    expect(call('ResizePseudoConsole')).toBe(E_INVALIDARG);
    expect(call('ConptyReleasePseudoConsole')).toBe(E_INVALIDARG);
    expect(call('ConptyShowHidePseudoConsole')).toBe(E_INVALIDARG);
  });

  it('reports the first import that is not modelled, by name and caller', () => {
    using kernel = Kernel.boot({ architecture });
    const process = kernel.createProcess({ name: 'terminal.exe' });
    const dll = process.loadImage(conpty(architecture));
    const result = process.heap.allocate(8, 0, { fill: 0, quota: false });
    expect(() => process.call64(dll.symbol('CreatePseudoConsole'), [0x190050, 4, 8, 0, result])).toThrow(
      /-l1-\d-\d\.dll!\w+ is not modelled; it was called from conpty(!\w+)?\+0x/,
    );
  });
});
