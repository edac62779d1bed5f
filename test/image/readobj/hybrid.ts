import type { DynamicRelocation, PeImage } from '../../../image/index.js';
import { H, type Lines } from './text.js';

export function writeChpeMetadata(out: Lines, image: PeImage): void {
  const { hybrid } = image;
  const metadata = hybrid?.metadata;
  if (hybrid === undefined || metadata === undefined) return;
  out.list('CHPEMetadata', () => {
    out.hex('Version', metadata.version);
    out.list('CodeMap', () => {
      for (const { rva, length, type } of hybrid.codeRanges) {
        out.line(`${H(rva)} - ${H(rva + length)}  ${type === 'AMD64' ? 'X64' : type}`);
      }
    });
    out.list('CodeRangesToEntryPoints', () => {
      for (const { startRva, endRva, entryPoint } of hybrid.codeRangesToEntryPoints) {
        out.line(`${H(startRva)} - ${H(endRva)} -> ${H(entryPoint)}`);
      }
    });
    out.list('RedirectionMetadata', () => {
      for (const { source, destination } of hybrid.redirections)
        out.line(`${H(source)} -> ${H(destination)}`);
    });
    out.hex('__os_arm64x_dispatch_call_no_redirect', metadata.osArm64xDispatchCallNoRedirect);
    out.hex('__os_arm64x_dispatch_ret', metadata.osArm64xDispatchRet);
    out.hex('__os_arm64x_dispatch_call', metadata.osArm64xDispatchCall);
    out.hex('__os_arm64x_dispatch_icall', metadata.osArm64xDispatchICall);
    out.hex('__os_arm64x_dispatch_icall_cfg', metadata.osArm64xDispatchICallCfg);
    out.hex('AlternateEntryPoint', metadata.alternateEntryPoint);
    out.hex('AuxiliaryIAT', metadata.auxiliaryIAT);
    out.hex('GetX64InformationFunctionPointer', metadata.getX64InformationFunctionPointer);
    out.hex('SetX64InformationFunctionPointer', metadata.setX64InformationFunctionPointer);
    out.hex('ExtraRFETable', metadata.extraRFETable);
    out.hex('ExtraRFETableSize', metadata.extraRFETableSize);
    out.hex('__os_arm64x_dispatch_fptr', metadata.osArm64xDispatchFptr);
    out.hex('AuxiliaryIATCopy', metadata.auxiliaryIATCopy);
  });
}

export function writeDynamicRelocations(out: Lines, image: PeImage): void {
  if (image.dynamicRelocations.length === 0) return;
  out.list('DynamicRelocations', () => {
    out.hex('Version', 1);
    for (const relocation of image.dynamicRelocations) {
      if (relocation.name === 'ARM64X') out.list('Arm64X', () => writeArm64x(out, relocation));
    }
  });
}

function writeArm64x(out: Lines, { fixups }: DynamicRelocation): void {
  for (const fixup of fixups) {
    if (fixup.kind !== 'arm64x') continue;
    out.list('Entry', () => {
      out.hex('RVA', fixup.rva);
      if (fixup.change === 'zeroFill') {
        out.field('Type', 'ZEROFILL');
        out.hex('Size', fixup.size);
      } else if (fixup.change === 'value') {
        out.field('Type', 'VALUE');
        out.hex('Size', fixup.value.length);
        out.hex(
          'Value',
          fixup.value.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n),
        );
      } else {
        out.field('Type', 'DELTA');
        out.field('Value', fixup.delta);
      }
    });
  }
}
