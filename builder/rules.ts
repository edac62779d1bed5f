/** `refusal`: no hotpatch image is made. `warning`: one is made, and somebody should look. */
export type Severity = 'refusal' | 'warning';

export interface RuleData {
  readonly severity: Severity;
  /** What must hold. */
  readonly description: string;
  /** What to do when it does not. */
  readonly hint: string;
  /** May `--allow` turn the refusal into a warning? Only where somebody can know better than the builds tell. */
  readonly isOverridable: boolean;
}

const refusal = (description: string, hint: string): RuleData => ({
  severity: 'refusal',
  description,
  hint,
  isOverridable: false,
});
const overridable = (description: string, hint: string): RuleData => ({
  severity: 'refusal',
  description,
  hint,
  isOverridable: true,
});
const warning = (description: string, hint: string): RuleData => ({
  severity: 'warning',
  description,
  hint,
  isOverridable: true,
});

const MARK =
  'name it in -fms-secure-hotpatch-functions-list when compiling the fixed build, so that it uses `__ref_` pointers';
const TABLE = 'have the table made again by the tool that wrote it, from the builds that are deployed';

/** Everything that can keep two builds from becoming base and hotpatch: one list, used by `build` and by `verify`. */
const rules = {
  // The two images.
  'image.machine': refusal(
    'base and fixed build must be for the same processor',
    'compile the fix for the machine of the base',
  ),
  'image.subsystem': refusal('base and fixed build must have the same subsystem', 'link both the same way'),
  'image.signed': refusal(
    'the fixed image must not be signed: the table changes its bytes',
    'sign the hotpatch image after it has been built',
  ),
  'image.loadConfig': refusal(
    'the fixed image needs a load configuration that reaches HotPatchTableOffset',
    'link an object that defines _load_config_used at the size of a current Windows SDK',
  ),
  'image.headerRoom': refusal(
    'the headers of the fixed image need room for one more section header',
    'link with a spare section, or without a long DOS stub',
  ),
  'image.hasTable': refusal(
    'the fixed image must be a plain build, not a hotpatch image',
    'pass the image as the linker made it; for a newer patch name the older one with --previous',
  ),
  'image.coldpatch': refusal(
    'both builds must be a linker’s: a coldpatch has jumps and appended code in it that no symbols describe',
    'build against the file that the coldpatch was made of: the hotpatch fits processes of either',
  ),
  'image.importsBase': refusal(
    'a hotpatch image must not import from its own base',
    'reach the function by the code of the fixed build itself: it is redirected to the base',
  ),
  'patch.empty': refusal(
    'the builds must differ in at least one function that the base has',
    'check that --base and --fixed are the right files',
  ),
  'symbols.missing': overridable(
    'both builds need symbols: functions cannot be paired without names',
    'pass the PDB or map that the linker wrote with --base-symbols and --fixed-symbols',
  ),
  'symbols.noSizes': warning(
    'where the sizes of variables are unknown, changes of layout cannot be seen',
    'compile with /Z7 or /Zi, link with /debug, and keep the PDB beside the image',
  ),
  'base.checkSum': warning(
    'the base should have a checksum: a hotpatch names its base by checksum and time stamp',
    'link the base with /release',
  ),
  'base.notMarked': warning(
    'the base should be marked as hotpatchable (EX_DLLCHARACTERISTICS)',
    'link the base with /hotpatchcompatible',
  ),

  // Entries of changed functions in the base.
  'entry.padding': refusal(
    'a function of the base needs six bytes of padding before it',
    'the base cannot be changed any more: fix the function in a callee or a caller that can be patched, or ship a new baseline linked with /functionpadmin:6',
  ),
  'entry.firstInstruction': refusal(
    'the first instruction of a patched function must be at least two bytes long',
    'ship a new baseline compiled with -fms-hotpatch (cl: /hotpatch)',
  ),
  'entry.branch': refusal(
    'no branch may lead into the bytes that the redirection replaces',
    'ship a new baseline compiled with -fms-hotpatch (cl: /hotpatch)',
  ),
  'entry.loop': overridable(
    'no loop may lead back to the first instruction: a thread inside would enter the new function in mid-execution',
    'put a no-operation before the loop; if the jump is a tail call of the function to itself, allow the rule',
  ),
  'entry.relocation': overridable(
    'no base relocation may change the first two bytes of a patched function',
    'a relocated field begins before the function: look for data in its padding; allow the rule if the image is always loaded at its own base',
  ),
  'entry.range': refusal(
    'the HPAT must be in reach of a branch from the function (ARM64: 128 MB)',
    'split the base image',
  ),
  'entry.folded': refusal(
    'a changed function must not share its address with one that did not change the same way',
    'link the baseline with /opt:noicf: patching one name patches all of them',
  ),
  'hpat.capacity': refusal(
    'there must be an HPAT slot for each function',
    'boot with a larger HotPatchTableSize, or patch fewer functions',
  ),

  // Functions.
  'function.signature': overridable(
    'parameters and result of a changed function must stay as they are: old callers call the new function',
    'keep the old function as it is and add a new one beside it',
  ),
  'function.convention': overridable(
    'a changed function must need nothing of its callers that callers compiled in the base do not give',
    'keep the old function as it is and call a new one from the fixed callers; allow the rule if no caller can be in flight',
  ),
  'function.stack': refusal(
    'a changed function must remove the same number of bytes from the stack',
    'keep its parameters and calling convention',
  ),
  'function.missing': refusal(
    'each function that differs must be redirected: a host of an inlined copy too',
    'add a forward FUNCTION record for it',
  ),
  'function.ambiguous': refusal(
    'a function must have one counterpart in the other build',
    'say which it is with --pair BASE=FIXED, or give the functions different names',
  ),
  'function.label': overridable(
    'no address of a place inside a changed function may be kept: the base has stored places of its own code',
    'leave the function as it is; allow the rule if nothing that was stored before is jumped to',
  ),
  'function.removed': warning(
    'a function that the fix removes stays in the base, and pointers may still lead to it',
    'check who may have kept its address',
  ),
  'function.unmarked': warning(
    'a function that differs should be one that was meant to: marked for hotpatching, or named',
    'see why it differs; a change of the compiler or of its options is the usual reason',
  ),
  'function.unchanged': warning(
    'a function that was marked or named should differ; it is left out of the patch',
    'see whether the fix is in the build at all',
  ),
  'function.unknown': warning('a named function should exist', 'check the spelling'),

  'entry.hasRun': warning(
    'code that has run when the image was loaded does not run again: its fix has no effect on a running base',
    'do what the fix does in a callout (__PatchMainCallout__), or when the fixed functions are first called',
  ),
  'entry.discarded': warning(
    'a function whose section is freed after initialisation cannot be patched',
    'do what the fix does in a callout (__PatchMainCallout__); a restart runs the fixed one',
  ),

  // What patched code reaches.
  'callee.discarded': refusal(
    'patched code must not call what is freed after initialisation',
    'take the function out of the section INIT in the fix, under another name',
  ),
  'callee.notRedirected': refusal(
    'an unchanged function with state that patched code reaches must be redirected to the base',
    'make it patchable (padding, first instruction of two bytes), or mark it so that it shares its variables by `__ref_`',
  ),
  'callee.middle': refusal(
    'patched code must not jump into the middle of a function that stays in the base',
    'compile without tail merging and hot/cold splitting, or change the function too',
  ),
  'callee.copied': warning(
    'an unchanged function that cannot be redirected runs as a copy in the patch image; it has no state',
    'link the fixed build with /functionpadmin:6 to have it redirected',
  ),
  'global.direct': refusal(
    'patched code must reach a variable of the base by a `__ref_` pointer, not in its own image',
    MARK,
  ),
  'global.tls': refusal(
    'patched code must not touch thread-local storage: the patch image has another index and template',
    'reach the variable in an unchanged function of the base',
  ),
  'global.imageBase': overridable(
    'patched code must not name its module by the headers of the patch image: the module is the base',
    'declare __ImageBase without const, so that the compiler reaches it by a `__ref_` pointer, or ask an unchanged function of the base',
  ),
  'ref.tls': refusal(
    'a `__ref_` pointer must not lead into thread-local storage: it would mean the template, not a thread’s copy',
    'reach the variable in an unchanged function of the base',
  ),
  'ref.wrongStatic': overridable(
    'a `__ref_` pointer must lead to the static variable of its own object file',
    'two objects share one pointer (/force:multiple): rename it in one of them, llvm-objcopy --redefine-sym __ref_s=__ref_s.b b.obj',
  ),
  'ref.ambiguous': refusal(
    'a variable that patched code uses must have one counterpart in the base',
    'say which it is with --pair BASE=FIXED, pass the PDBs, or rename the variable',
  ),
  'ref.unknown': refusal(
    'a `__ref_` pointer must lead to something with a name',
    'pass the PDB or map of the fixed build',
  ),
  'ref.ownCopy': warning(
    'a constant that the fix changes is used from the patch image, while unchanged code keeps the base’s',
    'check that nobody compares its address',
  ),

  // Data that base and patch share.
  'data.size': refusal(
    'a variable that both builds have must keep its size',
    'leave the variable alone and put what is new into a new one',
  ),
  'data.value': overridable(
    'a variable that both builds have must keep its initial value: the base’s is long since in use',
    'set it in a callout (__PatchMainCallout__) and allow the rule, or introduce a new variable',
  ),
  'variable.renamed': warning(
    'a variable that only the fix has begins anew, while one like it of the base is not used any more',
    'if it is the same under another name, say so with --pair OLD=NEW; else see that its first value is right for a running base',
  ),
  'variable.optimised': overridable(
    'a part of a structure that the optimiser has split, or what it left without a name, must be known by unchanged code that uses it',
    'say which is which with --pair; allow the rule if the fix leaves the members of the structure as they are',
  ),
  'variable.shrunk': warning(
    'the optimiser keeps a variable of two values in one byte: what the byte of the running base stands for is in code only',
    'see that the fix stores the same two values in it as the base does',
  ),
  'variable.removed': warning(
    'a variable that the fix does without keeps what the running base has put there; patched code does not look at it',
    'see that its first value, or none, is right for a running base',
  ),
  'data.protection': refusal(
    'a variable must stay writable, or stay constant',
    'introduce a new variable: the base keeps this one in read-only memory',
  ),
  'data.constToMutable': refusal(
    'a pointer in data of the patch image to a variable of the base needs a record, and one counterpart there',
    'pass the PDBs, name the counterpart with --pair, or compute the pointer at run time',
  ),
  'data.type': overridable(
    'a variable that both builds have must keep its type: what is in it was put there by the base',
    'introduce a new variable; allow the rule if the old contents mean the same',
  ),
  'type.enumerator': overridable(
    'an enumerator must keep its value: variables of the running base hold the old numbers',
    'put new enumerators behind the others; allow the rule if nothing keeps one',
  ),
  'type.layout': overridable(
    'a type that both builds know must keep its layout: objects of it outlive the patch',
    'keep the old members where they are and reach what is new another way; allow the rule if no object of it is shared',
  ),
  'type.virtualTable': overridable(
    'a virtual function table must keep its slots and what they lead to: objects of the base keep the base’s table',
    'fix the function that the slot leads to; allow the rule if no object outlives the patch',
  ),
  'export.removed': refusal('each export of the base must stay', 'keep the export'),
  'export.changed': refusal(
    'each export must keep its ordinal and its kind',
    'keep the ordinals in the .def file',
  ),
  'export.target': refusal(
    'each export must lead to what it leads to in the base',
    'keep the function or variable behind the export; --pair says that it is the same under another name',
  ),
  'export.data': refusal(
    'an exported constant must keep its contents: importers read the base’s',
    'export a new constant beside it, or ship a new baseline',
  ),
  'export.added': warning(
    'an export that is new in the fix cannot be seen by importers of the base',
    'it becomes visible with the next baseline',
  ),

  'identity.address': overridable(
    'patched code must not ask whether an address is that of its own copy of a function or constant: what the base has stored is the address of the base’s',
    'ask an unchanged function of the base, or keep the function out of the patch; allow the rule if the address never comes from the base',
  ),

  // What may outlive the patch.
  'escape.literal': warning(
    'patched code hands out addresses of constants in the patch image: whoever keeps one needs the patch image to stay mapped after a rollback',
    'nothing to do while patch images stay mapped',
  ),
  'escape.function': warning(
    'patched code takes the address of a function in the patch image: it differs from the one that the base knows, and may be kept after a rollback',
    'do not compare function pointers in patched code',
  ),
  'escape.switchTable': warning(
    'patched code jumps through a switch table of the patch image',
    'nothing to do while patch images stay mapped',
  ),
  'callTarget.alignment': warning(
    'a function whose address patched code takes should be 16-byte aligned: Control Flow Guard cannot be told of it',
    'compile with -falign-functions=16',
  ),
  'callTarget.guard': refusal(
    'with Control Flow Guard a function whose address patched code takes must be 16-byte aligned',
    'compile the fixed build with -falign-functions=16',
  ),

  // A table that is there already.
  'record.notFunction': refusal('a FUNCTION record must connect the beginnings of two functions', TABLE),
  'record.wrongFunction': refusal('a FUNCTION record must connect functions of the same name', TABLE),
  'backward.changed': refusal(
    'a function that is sent back to the base must be the same in both images',
    TABLE,
  ),
  'absolute.slot': refusal(
    'an ABSOLUTE record must fill a pointer: one with a base relocation, outside code',
    TABLE,
  ),
  'absolute.wrongVariable': refusal(
    'an ABSOLUTE record must name the variable that its pointer means',
    TABLE,
  ),
  'absolute.missing': refusal('each `__ref_` pointer to a variable of the base needs a record', TABLE),
  'indirect.slot': refusal('an INDIRECT record must connect import address table slots', TABLE),
  'indirect.wrongImport': refusal('an INDIRECT record must connect slots of the same import', TABLE),
  'indirect.missing': warning('an import that both images have should be taken over from the base', TABLE),
  'callTarget.dwords': refusal('both dwords of a CALL_TARGET record must be the same RVA', TABLE),
  'callTarget.notFunction': refusal('a CALL_TARGET must be the beginning of a function', TABLE),

  // Hotpatches of the 2003 generation (`--generation 2003`); the limits of technet cc778993 first.
  'hotp1.exports': refusal(
    'a hotpatch of the 2003 generation must not change what the base exports',
    'replace the file and restart: importers have bound themselves to the running image',
  ),
  'hotp1.imports': refusal(
    'a hotpatch of the 2003 generation must not need an import that the base has not',
    'reach the function by what the base imports, or replace the file and restart',
  ),
  'hotp1.neverLeaves': overridable(
    'a function must leave its code at some time: a thread in it would run the old code for ever',
    'end the loop from outside, or allow the rule and restart what runs it',
  ),
  'hotp1.padding': refusal(
    'a hooked function needs padding before it for the jump: 5 bytes, 6 for the indirect form of x64',
    'link the base with /functionpadmin',
  ),
  'hotp1.entry': refusal(
    'a hooked function must begin with an instruction of at least two bytes that nothing changes or branches into',
    'compile the base with -fms-hotpatch (cl: /hotpatch)',
  ),
  'hotp1.shortBranch': refusal(
    'a branch out of changed code must have a 32-bit distance, so that a fixup can lead it to the base',
    'compile without tail merging, or put the functions into sections of their own',
  ),
  'hotp1.tls': refusal(
    'changed code must not touch thread-local storage: the hotpatch image has another index and template',
    'reach the variable in an unchanged function of the base',
  ),
  'hotp1.ambiguous': refusal(
    'a variable must have one counterpart in the base',
    'pass the PDBs, or rename the variable',
  ),
  'hotp1.unknown': refusal(
    'changed code must refer to something with a name',
    'pass the PDB or map of the fixed build',
  ),
  'hotp1.ownVariable': warning(
    'a variable that only the fix has lives in the hotpatch image, and is gone with the next start',
    'check that its first value is right for a process that runs already',
  ),

  // Cumulative patches.
  'previous.base': refusal(
    'the previous hotpatch must be for the same base',
    'build against the base that is deployed',
  ),
  'previous.sequence': refusal(
    'the sequence number must be above the previous one’s',
    'leave --sequence out, or choose a higher number',
  ),
  'previous.dropped': warning(
    'a function that the previous hotpatch covers equals the base’s again: it will run original code',
    'check that the fix is meant to be taken back',
  ),
  'previous.symbols': warning(
    'without symbols of the hotpatch before, variables that only it has cannot be seen: they may begin anew',
    'keep the PDB or map that hotpatch build has put beside it',
  ),
  'previous.restarted': warning(
    'a variable that the previous hotpatch has begins anew in the new one',
    'carry its value over in a callout (__PatchMainCallout__)',
  ),
  'previous.state': warning(
    'a variable that only the previous hotpatch has is lost with its value: the new patch image has its own',
    'carry it over in a callout (__PatchMainCallout__)',
  ),
} as const satisfies Record<string, RuleData>;

export type BuildRuleId = keyof typeof rules;

export interface BuildRule extends RuleData {
  readonly id: BuildRuleId;
}

export const BUILD_RULES: readonly BuildRule[] = Object.entries(rules).map(([id, data]) => ({
  id: id as BuildRuleId,
  ...data,
}));

const byId = new Map(BUILD_RULES.map((rule) => [rule.id, rule]));

export function buildRule(id: BuildRuleId): BuildRule {
  const rule = byId.get(id);
  if (rule === undefined) throw new RangeError(`no rule ${id}`);
  return rule;
}

export function isBuildRule(id: string): id is BuildRuleId {
  return byId.has(id as BuildRuleId);
}
