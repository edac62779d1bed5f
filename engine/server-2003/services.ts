import { architectureNamed } from '../../cpu/index.js';
import { defineExport } from '../../loader/index.js';
import type { EngineServices } from './context.js';
import { LDR_HOT_PATCH_ROUTINE, serveRoutine } from './inject.js';
import { ntSetSystemInformation } from './set-system-information.js';

/** Parameters of NtSetSystemInformation: class, buffer, length. */
const STUB_PARAMETERS = ['u32', 'pointer', 'u32'] as const;

/** What guest code calls: the system service, its stub in ntdll, and the routine that injected threads begin at. */
export function defineServices(engine: EngineServices): void {
  const { kernel } = engine;
  kernel.systemServices.define(
    'NtSetSystemInformation',
    (call) => ntSetSystemInformation(engine, call).value,
  );
  const runsWow64 = kernel.architecture.name === architectureNamed('x86').system;
  const widths = runsWow64 ? [false, true] : [false];
  for (const wow64 of widths) {
    const services = kernel.userServices({ wow64 });
    services.define({
      name: 'ntdll.dll',
      exports: [
        defineExport('NtSetSystemInformation', STUB_PARAMETERS, (call) =>
          call.kernel.systemServices.call('NtSetSystemInformation', call),
        ),
        defineExport(LDR_HOT_PATCH_ROUTINE, ['pointer'], (call, address) =>
          serveRoutine(engine, call, address),
        ),
      ],
    });
    // Injecting needs its address; it is part of every process from the start.
    services.address('ntdll.dll', LDR_HOT_PATCH_ROUTINE);
  }
}
