// Neither package has types of its own. Only what cpu uses is declared, as its JavaScript behaves.

declare module '@alexaltea/capstone-js' {
  export interface CapstoneInstruction {
    /** Signed: addresses of 2^63 and more come back negative. */
    readonly address: bigint;
    readonly size: number;
    readonly mnemonic: string;
    readonly op_str: string;
  }
  export interface Capstone {
    /** Throws a string when the first bytes are no instruction (with error code 0) and on every other failure. */
    disasm(bytes: Uint8Array, address: bigint, count?: number): CapstoneInstruction[];
    errno(): number;
    close(): void;
  }
  export interface CapstoneModule {
    readonly Capstone: new (architecture: number, mode: number) => Capstone;
    readonly ARCH_ARM64: number;
    readonly ARCH_X86: number;
    readonly MODE_LITTLE_ENDIAN: number;
    readonly MODE_32: number;
    readonly MODE_64: number;
  }
  const load: () => Promise<CapstoneModule>;
  export default load;
}

declare module '@alexaltea/keystone-js' {
  export interface Keystone {
    /** Throws when the assembler core hits its own assertions; may never return for characters it does not know. */
    asm(source: string, address: bigint): { readonly failed: boolean; readonly mc: Uint8Array };
    errno(): number;
    close(): void;
  }
  export interface KeystoneModule {
    readonly Keystone: new (architecture: number, mode: number) => Keystone;
    strerror(code: number): string;
    readonly ARCH_ARM64: number;
    readonly ARCH_X86: number;
    readonly MODE_LITTLE_ENDIAN: number;
    readonly MODE_32: number;
    readonly MODE_64: number;
  }
  const load: (options?: { printErr?: (line: string) => void }) => Promise<KeystoneModule>;
  export default load;
}
