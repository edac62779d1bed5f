import type { Keystone, KeystoneModule } from '@alexaltea/keystone-js';
import type { ArchitectureName } from '../architecture/architecture.js';
import { messageOf } from '../error.js';
import type { CpuRule } from '../rules.js';
import { AssemblerError } from './error.js';
import type { Statement } from './source.js';

/** Encodes one instruction; `text` holds nothing but what {@link Statement} tokens are made of. */
export type EncodeInstruction = (statement: Statement, text: string, at: bigint) => Uint8Array;

// keystone.h: KS_ERR_ASM_*; the codes above 512 are match failures of the architecture's own parser.
const SYMBOL_MISSING = 144;
const FIXUP_INVALID = 161;
const INVALID_OPERAND = 512;
const MNEMONIC_FAIL = 514;

let module: Promise<KeystoneModule> | undefined;
const handles = new Map<ArchitectureName, Keystone>();

/** Keystone, loaded on the first call, and anew after its core has trapped. */
export async function loadKeystone(architecture: ArchitectureName): Promise<EncodeInstruction> {
  if (module === undefined) {
    const { default: load } = await import('@alexaltea/keystone-js');
    module ??= load({ printErr: () => {} });
  }
  const keystone = await module;
  const handle = handles.get(architecture) ?? open(keystone, architecture);
  handles.set(architecture, handle);

  return (statement, text, at) => {
    let result: ReturnType<Keystone['asm']>;
    try {
      result = handle.asm(text, at);
    } catch (cause) {
      module = undefined;
      handles.clear();
      throw new AssemblerError('assemblerFailed', statement, `keystone failed: ${messageOf(cause)}`, cause);
    }
    if (!result.failed && result.mc.length > 0) return result.mc;
    const code = result.failed ? handle.errno() : MNEMONIC_FAIL;
    const [rule, reason] = explain(code);
    throw new AssemblerError(rule, statement, reason ?? keystone.strerror(code));
  };
}

function open(keystone: KeystoneModule, architecture: ArchitectureName): Keystone {
  const modes: Record<ArchitectureName, readonly [architecture: number, mode: number]> = {
    x64: [keystone.ARCH_X86, keystone.MODE_64],
    x86: [keystone.ARCH_X86, keystone.MODE_32],
    arm64: [keystone.ARCH_ARM64, keystone.MODE_LITTLE_ENDIAN],
  };
  return new keystone.Keystone(...modes[architecture]);
}

function explain(code: number): [rule: CpuRule, reason?: string] {
  if (code === SYMBOL_MISSING) return ['undefinedSymbol', 'a name in it is not defined'];
  if (code === FIXUP_INVALID) return ['branchOutOfRange', 'the target is out of reach'];
  if (code === MNEMONIC_FAIL) return ['unknownInstruction', 'there is no such instruction'];
  if (code >= INVALID_OPERAND) return ['invalidOperand', 'the operands do not fit the instruction'];
  return ['assemblySyntax'];
}
