import type { Mutant } from './schemata.js';

interface Judgement {
  readonly file: string;
  readonly change: string;
  /** The code that is changed, as the report prints it, or the beginning of it. */
  readonly code: string;
  readonly why: string;
}

/** Mutants that no test can notice, each with the reason. */
const JUDGED: readonly Judgement[] = [
  {
    file: 'engine/server-2003/apply.ts',
    change: '+ becomes -',
    code: 'FLG_HOTPATCH.ACTIVE * Number(active) + FLG_HOTPATCH.WOW64 * Number(isWow64(domain))',
    why: 'Of the flags in a CodeInfo only ACTIVE is read, which both have.',
  },
  {
    file: 'engine/server-2003/code-information.ts',
    change: '+ becomes -',
    code: 'at + DESCRIPTOR.targetAddress',
    why: 'It is the first field of the descriptor, at offset 0.',
  },
  {
    file: 'engine/server-2003/inject.ts',
    change: 'leave out',
    code: 'new CodeInformation(domain.addressSpace, address, buffer.length, pointerSize).finish()',
    why: 'The structure is freed before anybody else runs.',
  },
  {
    file: 'engine/server-2003/plan.ts',
    change: '> becomes >=',
    code: 'target.dllBase > loaded.dllBase',
    why: 'Two images never have one base.',
  },
  {
    file: 'engine/server-2003/updater.ts',
    change: '+ becomes -',
    code: 'common + FLG_HOTPATCH.KERNEL',
    why: 'KERNEL is the highest of 32 bits: modulo 2^32 both are the same.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'never',
    code: '!this.translated.delete(frame)',
    why: 'Forgetting code that was never translated only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'always',
    code: 'view === undefined',
    why: 'A frame with a view has been fetched, and its processor is not writing to it: one more flush at most.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'always',
    code: 'other !== unit && other.writable.has(frame)',
    why: 'Flushing more translations than needed only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'leave out of &&',
    code: 'other !== unit',
    why: 'Flushing more translations than needed only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'leave out of &&',
    code: 'other.writable.has(frame)',
    why: 'Flushing more translations than needed only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'leave out of &&',
    code: '!this.#seesOwnStores',
    why: 'An x86 processor is flushed once more, and then fetches.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'always',
    code: 'unit.fetched.size > 0',
    why: 'Flushing a processor that has fetched nothing only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: '> becomes >=',
    code: 'unit.fetched.size > 0',
    why: 'Flushing a processor that has fetched nothing only costs time.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: 'never',
    code: 'view === undefined',
    why: 'Lines are invalidated in views alone, and leave with them: there always is one.',
  },
  {
    file: 'cpu/instruction-fetch.ts',
    change: '< becomes <=',
    code: 'line < 64',
    why: 'There is no bit 64 in the lines of a page.',
  },
  {
    file: 'cpu/physical-memory.ts',
    change: '> becomes >=',
    code: 'size > 2 ** 32',
    why: 'Only a test that takes 4 GB of memory could notice.',
  },
  {
    file: 'cpu/physical-memory.ts',
    change: 'leave out',
    code: 'giveBuffer(this.#buffer, this.#fresh)',
    why: 'Using buffers again only saves time.',
  },
  {
    file: 'cpu/page-table.ts',
    change: 'never',
    code: 'this.#saved === contents',
    why: 'Putting back what is there only costs time.',
  },
  {
    file: 'cpu/address-space.ts',
    change: '<= becomes <',
    code: 'Number(address & OFFSET_MASK) + length <= PAGE_SIZE',
    why: 'The way for stores over several pages does the same in more time.',
  },
  {
    file: 'cpu/address-space.ts',
    change: 'never',
    code: 'this.#isInOnePage(address, bytes.byteLength)',
    why: 'The way for stores over several pages does the same in more time.',
  },
  {
    file: 'cpu/address-space.ts',
    change: '> becomes >=',
    code: 'length > 2 ** 32',
    why: 'Only a test that takes 4 GB of memory could notice.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'always',
    code: 'from !== to',
    why: 'Comparing a list of pages with itself finds nothing.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: '< becomes <=',
    code: 'frame < Math.max(from.length, to.length)',
    why: 'Behind both lists there is nothing on either side.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'always',
    code: 'from[frame] !== to[frame]',
    why: 'Restoring a page that is the same only costs time.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'never',
    code: 'processor === undefined',
    why: 'A snapshot of this machine has as many processors as it; the check is for the compiler.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'always',
    code: 'hash === undefined',
    why: 'Calculating the hash of a page again only costs time.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'leave out',
    code: 'hashesOfPages.set(contents, hash)',
    why: 'Calculating the hash of a page again only costs time.',
  },
  {
    file: 'cpu/snapshot.ts',
    change: 'leave out of ||',
    code: 'a === b',
    why: 'A snapshot has the same hash as itself, which only takes time to find out.',
  },
  {
    file: 'cpu/serialising.ts',
    change: '< becomes <=',
    code: 'modrm < 0xc0',
    why: 'ModRM C0 has the extension 0, which is none of the three.',
  },
  {
    file: 'cpu/serialising.ts',
    change: '< becomes <=',
    code: 'at < page.byteLength',
    why: 'There is no byte behind the page, hence no opcode.',
  },
  {
    file: 'cpu/serialising.ts',
    change: 'always',
    code: 'frame !== undefined',
    why: 'No view is of an undefined frame; the check is for the compiler.',
  },
  {
    file: 'cpu/serialising.ts',
    change: 'leave out',
    code: 'this.#engine.forgetAllCode()',
    why: 'The code that the hooks are for is translated only afterwards: fetching it was stopped in order to add them.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'never',
    code: 'this.#screen === undefined',
    why: 'Without a screen the screened translation hands on what it gets.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'always',
    code: "kind === 'x86-64'",
    why: 'Unicorn takes hooks of instructions that an Arm processor does not have, and never calls them.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'leave out of ||',
    code: 'screen === undefined',
    why: 'It is called only with a screen; the check is for the compiler.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: '< becomes <=',
    code: 'translation < 0',
    why: '0 would be page 0 without any permission, which nobody answers.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: '>= becomes >',
    code: 'answer >= 0',
    why: '0 would be page 0 without any permission, which nobody answers.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'always',
    code: 'this.#screen?.isNearlyFull',
    why: 'Forgetting all code before each run only costs time.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: '+ becomes -',
    code: 'state.getUint32(counter, true) + state.getUint32(counter + 4, true) * 2 ** 32',
    why: 'Only a run of more than four thousand million instructions could notice.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'never',
    code: 'pages.size > FLUSH_ALL_ABOVE',
    why: 'Both ways forget the code; the bound is where they take the same time.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: 'always',
    code: 'pages.size > FLUSH_ALL_ABOVE',
    why: 'Both ways forget the code; the bound is where they take the same time.',
  },
  {
    file: 'cpu/unicorn/engine.ts',
    change: '> becomes >=',
    code: 'pages.size > FLUSH_ALL_ABOVE',
    why: 'Both ways forget the code; the bound is where they take the same time.',
  },
  {
    file: 'cpu/unicorn/callbacks.ts',
    change: 'always',
    code: 'running?.failure === undefined',
    why: 'Unicorn, once told to stop, was not seen to call back; the check is there should it.',
  },
  {
    file: 'cpu/unicorn/callbacks.ts',
    change: 'never',
    code: 'engine === undefined',
    why: 'Unicorn, once told to stop, was not seen to call back; the check is there should it.',
  },
  {
    file: 'cpu/unicorn/callbacks.ts',
    change: '< becomes <=',
    code: 'translation < 0',
    why: '0 would be page 0 without any permission, which nobody answers.',
  },
  {
    file: 'engine/modern/plan.ts',
    change: 'leave out of &&',
    code: "state.kind === 'patched'",
    why: 'Other states have no index, and undefined is neither equal to a number nor above one.',
  },
  {
    file: 'engine/modern/plan.ts',
    change: 'never',
    code: '!(error instanceof CpuError)',
    why: 'For a slot that exists the forms throw nothing else.',
  },
  {
    file: 'engine/modern/plan.ts',
    change: 'never',
    code: 'image.hpat === undefined',
    why: 'Where images have no HPAT the engine has refused the patch before it is planned.',
  },
  {
    file: 'engine/modern/registry.ts',
    change: '<= becomes <',
    code: 'registered.sequenceNumber <= patch.sequenceNumber',
    why: 'An equal sequence number has been ignored before.',
  },
  {
    file: 'engine/modern/trampoline-x86.ts',
    change: 'always',
    code: "branch?.form === 'jumpThroughSlot'",
    why: 'Other branches have no slot, and undefined lies in no HPAT.',
  },
  {
    file: 'engine/modern/transaction.ts',
    change: 'leave out of ||',
    code: 'session === undefined',
    why: 'The domain of a session has its session.',
  },
  {
    file: 'engine/server-2003/apply-code-patch.ts',
    change: '+ becomes -',
    code: 'targetAddress + BigInt(Math.max(code.length, validation.length))',
    why: 'Behind the last address of a process there is no memory: reading fails too, with the same status.',
  },
  {
    file: 'engine/server-2003/patch-files.ts',
    change: 'never',
    code: 'hotp1 === undefined',
    why: 'The rules of the format have refused it before; the check is for the compiler.',
  },
  {
    file: 'engine/server-2003/plan.ts',
    change: 'never',
    code: '!(error instanceof CpuError)',
    why: 'The encoders throw nothing else.',
  },
  {
    file: 'engine/server-2003/server.ts',
    change: 'leave out',
    code: 'this.#sections.delete(image)',
    why: 'Nothing asks for the section of an image that is gone; forgetting it only saves memory.',
  },
  {
    file: 'engine/modern/caller-memory.ts',
    change: '+ becomes -',
    code: 'address + BigInt(length)',
    why: 'Behind the last address of a process there is no memory: reading fails too, with the same status.',
  },
  {
    file: 'engine/core/store.ts',
    change: 'leave out of &&',
    code: 'protection !== undefined',
    why: 'There is memory wherever the engine stores; the check is for the compiler.',
  },
  {
    file: 'engine/modern/apply.ts',
    change: 'leave out of ||',
    code: 'hpat === undefined',
    why: 'Where images have no HPAT the engine has refused the patch before.',
  },
  {
    file: 'engine/modern/patch.ts',
    change: 'never',
    code: 'table === undefined || description === undefined',
    why: 'The rules of the format have refused it before; the check is for the compiler.',
  },
  {
    file: 'engine/modern/patch.ts',
    change: 'leave out of ||',
    code: 'table === undefined',
    why: 'The rules of the format have refused it before; the check is for the compiler.',
  },
  {
    file: 'engine/modern/patch.ts',
    change: 'leave out of ||',
    code: 'description === undefined',
    why: 'The rules of the format have refused it before; the check is for the compiler.',
  },
];

/** Why a surviving mutant is of no matter, if somebody has said so. */
export function judgementOf({ file, change, code }: Mutant): string | undefined {
  return JUDGED.find((one) => one.file === file && one.change === change && code.startsWith(one.code))?.why;
}
