import type { PeImage } from '../image.js';
import { hex } from '../text.js';
import { readColdpatch } from './coldpatch.js';
import {
  HOOK_OPTION,
  HOOK_TYPE,
  type HookType,
  type Hotp1,
  type Hotp1Hook,
  hookSize,
  hookTypeName,
  isJump,
  shortJumpTarget,
} from './format.js';
import { crossedColdplace } from './hook-places.js';
import { isCode, validationIndex } from './places.js';
import { type Hotp1Finding, type Hotp1RuleId, hotp1Finding } from './rules.js';

/** Processors that each hook type is for; the types that nothing implements are for none. */
const MACHINES: Readonly<Record<HookType, readonly string[]>> = {
  None: ['I386', 'AMD64'],
  VA32: ['I386'],
  X86_JMP: ['I386', 'AMD64'],
  PCREL32: ['I386', 'AMD64'],
  X86_JMP2B: ['I386', 'AMD64'],
  VA64: ['AMD64'],
  IA64_BRL: ['IA64'],
  IA64_BR: ['IA64'],
  AMD64_IND: ['AMD64'],
  AMD64_CNT: ['AMD64'],
};

const KNOWN_OPTIONS = HOOK_OPTION.SIZE | HOOK_OPTION.WITHIN_2GB;

/** Each hook by itself, then what hooks must be to each other; with `target` also the places that they change. */
export function validateHooks(patch: PeImage, hotp1: Hotp1, target: PeImage | undefined): Hotp1Finding[] {
  const { hooks } = hotp1;
  if (hooks.every(({ type }) => type === HOOK_TYPE.None))
    return [hotp1Finding('hook.none', '.hotp1 +0x18', `HookCount is ${hooks.length}`)];
  const findings: Hotp1Finding[] = [];
  for (const [index, hook] of hooks.entries()) {
    const report = (rule: Hotp1RuleId, detail: string) =>
      void findings.push(hotp1Finding(rule, `hook ${index}`, detail, hook.hookRva));
    if (!checkType(patch, hook, report)) continue;
    checkRoutine(patch, hook, report);
    if (hook.validationRva !== 0 && validationIndex(hotp1, hook.validationRva) === undefined)
      report('hook.validation', hex(hook.validationRva));
    checkPartners(hooks, index, hook, report);
    if (target === undefined) continue;
    checkLocation(target, hook, report);
    const crossed = crossedColdplace(hotp1, hook, readColdpatch(target)?.places ?? []);
    if (crossed !== undefined) report('hook.coldpatch', `it has one at ${hex(crossed.rva)}`);
  }
  return [...findings, ...overlaps(hooks)];
}

type Report = (rule: Hotp1RuleId, detail: string) => void;

/** Can the rest of the hook be judged? */
function checkType(patch: PeImage, { type, options }: Hotp1Hook, report: Report): boolean {
  const name = hookTypeName(type);
  if (name === undefined) report('hook.type', `${type}`);
  else if (!MACHINES[name].includes(patch.machine))
    report('hook.machine', `${name} in an image for ${patch.machine}`);
  else if (name === 'PCREL32') report('hook.notImplemented', name);
  else if ((options & ~KNOWN_OPTIONS) !== 0) report('hook.options', hex(options));
  else return name !== 'None';
  return false;
}

function checkRoutine(patch: PeImage, { type, hotpRva }: Hotp1Hook, report: Report): void {
  if (type !== HOOK_TYPE.X86_JMP2B && !isCode(patch, hotpRva)) report('hook.routine', hex(hotpRva));
}

/** Hooks that only make sense together, and in this order: nothing may lead to a jump that is not there yet. */
function checkPartners(hooks: readonly Hotp1Hook[], index: number, hook: Hotp1Hook, report: Report): void {
  if (hook.type === HOOK_TYPE.X86_JMP2B) {
    const target = shortJumpTarget(hook);
    const found = hooks.findIndex(
      ({ type, hookRva }) => isJump(type) && type !== HOOK_TYPE.X86_JMP2B && hookRva === target,
    );
    if (found < 0) report('hook.shortTarget', `it leads to RVA ${hex(target)}`);
    else if (found > index) report('hook.order', `hook ${found} comes after it`);
  }
  const partner =
    hook.type === HOOK_TYPE.AMD64_IND
      ? HOOK_TYPE.AMD64_CNT
      : hook.type === HOOK_TYPE.AMD64_CNT
        ? HOOK_TYPE.AMD64_IND
        : undefined;
  if (partner === undefined) return;
  const found = hooks.findIndex(({ type, hotpRva }) => type === partner && hotpRva === hook.hotpRva);
  if (found < 0) report('hook.continuation', `RVA ${hex(hook.hotpRva)} of the hotpatch has one of them only`);
  else if (hook.type === HOOK_TYPE.AMD64_IND && found > index)
    report('hook.order', `the pointer that it reads is hook ${found}, which comes after it`);
}

function checkLocation(target: PeImage, hook: Hotp1Hook, report: Report): void {
  const { sizeOfImage, sizeOfHeaders } = target.optionalHeader;
  const size = hookSize(hook) ?? 0;
  if (hook.hookRva < sizeOfHeaders || hook.hookRva + size > sizeOfImage) {
    report('hook.location', `${size} bytes at ${hex(hook.hookRva)}, SizeOfImage ${hex(sizeOfImage)}`);
    return;
  }
  if (!isJump(hook.type)) return;
  if (!isCode(target, hook.hookRva)) report('hook.section', hex(hook.hookRva));
  const [relocation] = target.relocationsIn(hook.hookRva, size);
  if (relocation !== undefined) report('hook.relocation', `at RVA ${hex(relocation.rva)}`);
}

function overlaps(hooks: readonly Hotp1Hook[]): Hotp1Finding[] {
  const ranges = hooks
    .map((hook, index) => ({ index, start: hook.hookRva, end: hook.hookRva + (hookSize(hook) ?? 0) }))
    // Those that change nothing, or that nothing implements.
    .filter(({ start, end }) => end > start)
    .sort((a, b) => a.start - b.start);
  return ranges.flatMap(({ index, start }, i) => {
    const before = ranges[i - 1];
    if (before === undefined || before.end <= start) return [];
    return [hotp1Finding('hook.overlap', `hook ${index}`, `it begins inside hook ${before.index}`, start)];
  });
}
