import fc from 'fast-check';
import type { Hotp1Input } from 'hotpatch-lab/image';

const rva = fc.integer({ min: 0, max: 0xffffffff });
const word = fc.integer({ min: 0, max: 0xffff });

const validation = fc.record({
  source: fc.oneof(rva, fc.uint8Array({ maxLength: 40 })),
  targetRva: rva,
  byteCount: word,
  optionFlags: word,
});

const hook = fc.record(
  { type: word, options: word, hookRva: rva, hotpRva: rva, validation: fc.nat(20) },
  { requiredKeys: ['type', 'options', 'hookRva', 'hotpRva'] },
);

/** Anything that a section can say, sensible or not. */
export const hotp1Input: fc.Arbitrary<Hotp1Input> = fc
  .record({
    fixups: fc.array(
      fc.record({ rva: fc.integer({ min: 0, max: 0x3fffff }), type: fc.integer({ min: 1, max: 15 }) }),
      { maxLength: 30 },
    ),
    validations: fc.array(validation, { maxLength: 6 }),
    hooks: fc.array(hook, { maxLength: 6 }),
    origHotpBaseAddress: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
    origTargetBaseAddress: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
    targetName: fc.stringMatching(/^[a-z0-9_]{1,20}\.(dll|sys|exe)$/),
    moduleIdMethod: rva,
    moduleIdValue: fc.uint8Array({ minLength: 24, maxLength: 24 }),
  })
  .map((input) => ({
    ...input,
    // A hook can only have a validation that there is.
    hooks: input.hooks.map(({ validation: index, ...rest }) =>
      index === undefined || index >= input.validations.length ? rest : { ...rest, validation: index },
    ),
  }));
